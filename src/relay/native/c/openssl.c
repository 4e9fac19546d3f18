// See openssl.h.
#define _GNU_SOURCE
#include "openssl.h"

#include <dlfcn.h>
#include <stdio.h>

struct openssl ossl;

static const char *find_all(void) {
  static char why[96];
#define X(result, name, parameters)                                         \
  *(void **)&ossl.name = dlsym(RTLD_DEFAULT, #name);                        \
  if (!ossl.name) {                                                         \
    snprintf(why, sizeof why, "this node exports no %s", #name);            \
    return why;                                                             \
  }
  OPENSSL_FUNCTIONS(X)
#undef X
  if (ossl.OPENSSL_version_major() != 3) {
    snprintf(why, sizeof why, "this node has OpenSSL %u, and 3 is needed", ossl.OPENSSL_version_major());
    return why;
  }
  // OpenSSL registers its own exit handler now. Handlers run in the opposite order, so that those of who registers one
  // after this run before OpenSSL frees what threads may still use.
  return ossl.OPENSSL_init_ssl(0, NULL) == 1 ? NULL : "OpenSSL could not be initialized";
}

const char *openssl_load(void) {
  static const char *why;
  static int tried;
  if (!tried) why = find_all();
  tried = 1;
  return why;
}
