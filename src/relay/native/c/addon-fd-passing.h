// The functions of fd-passing.h for JavaScript. They need no engine.
#ifndef UPGATE_ADDON_FD_PASSING_H
#define UPGATE_ADDON_FD_PASSING_H

#define NAPI_VERSION 8
#include <node_api.h>

// Adds them to the addon's exports. Returns 0 where that failed.
int export_fd_passing(napi_env env, napi_value exports);

#endif
