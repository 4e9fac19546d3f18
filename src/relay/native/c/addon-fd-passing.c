// See addon-fd-passing.h. A wrong argument is a thrown error; what the system says is an errno, negated.
#define _GNU_SOURCE
#include "addon-fd-passing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "addon.h"
#include "fd-passing.h"

// A path of a unix socket, and more: one that is too long is the system's to refuse.
#define PATH_MAX_BYTES 4096

// Reads a text without a 0 in it; returns its length, or -1 where it is none or does not fit.
static int text_of(napi_env env, napi_value value, char *to, size_t size) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length >= size) return -1;
  if (napi_get_value_string_utf8(env, value, to, size, &length) != napi_ok || strlen(to) != length) return -1;
  return (int)length;
}

// listeningAddress(fd) -> text, or -errno
static napi_value js_listening_address(napi_env env, napi_callback_info info) {
  napi_value args[1], value;
  int32_t fd;
  if (!arguments(env, info, args, 1) || napi_get_value_int32(env, args[0], &fd) != napi_ok)
    return fail(env, "listeningAddress(fd)");
  char text[LISTENING_ADDRESS_MAX];
  int error = listening_address(fd, text);
  if (error) return number(env, -error);
  return napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok ? value : NULL;
}

// sendDescriptors(connection, fds: Int32Array, text) -> 0 or -errno
static napi_value js_send(napi_env env, napi_callback_info info) {
  napi_value args[3];
  int32_t connection, *fds;
  napi_typedarray_type type;
  size_t count;
  char *text = malloc(PASSED_TEXT_MAX + 1);
  if (!text) return number(env, -ENOMEM);
  int length = -1;
  if (!arguments(env, info, args, 3) || napi_get_value_int32(env, args[0], &connection) != napi_ok ||
      napi_get_typedarray_info(env, args[1], &type, &count, (void **)&fds, NULL, NULL) != napi_ok || type != napi_int32_array ||
      (length = text_of(env, args[2], text, PASSED_TEXT_MAX + 1)) < 0) {
    free(text);
    return fail(env, "sendDescriptors(connection, fds, text)");
  }
  int error = count > PASSED_FDS_MAX ? EMSGSIZE : fds_send(connection, fds, (uint32_t)count, text, (size_t)length);
  free(text);
  return number(env, -error);
}

// { connection, fds, text }; null where there is no memory.
static napi_value fds_object(napi_env env, const struct passed_fds *got) {
  napi_value object, fds, text;
  if (napi_create_object(env, &object) != napi_ok || napi_create_array_with_length(env, got->count, &fds) != napi_ok ||
      napi_create_string_utf8(env, got->text, NAPI_AUTO_LENGTH, &text) != napi_ok)
    return NULL;
  for (uint32_t i = 0; i < got->count; i++) {
    if (napi_set_element(env, fds, i, number(env, got->fds[i])) != napi_ok) return NULL;
  }
  if (napi_set_named_property(env, object, "connection", number(env, got->connection)) != napi_ok ||
      napi_set_named_property(env, object, "fds", fds) != napi_ok ||
      napi_set_named_property(env, object, "text", text) != napi_ok)
    return NULL;
  return object;
}

// requestDescriptors(path, line, timeoutMs) -> { connection, fds, text }, all of them the caller's; or -errno
static napi_value js_request(napi_env env, napi_callback_info info) {
  napi_value args[3];
  char path[PATH_MAX_BYTES], line[PATH_MAX_BYTES];
  uint32_t timeout_ms;
  if (!arguments(env, info, args, 3) || text_of(env, args[0], path, sizeof path) < 0 ||
      text_of(env, args[1], line, sizeof line) < 0 || napi_get_value_uint32(env, args[2], &timeout_ms) != napi_ok)
    return fail(env, "requestDescriptors(path, line, timeoutMs)");
  struct passed_fds *got = malloc(sizeof *got);
  if (!got) return number(env, -ENOMEM);
  int error = fds_request(path, line, timeout_ms, got);
  napi_value object = error ? number(env, -error) : fds_object(env, got);
  if (!error && !object) {
    for (uint32_t i = 0; i < got->count; i++) close(got->fds[i]);
    close(got->connection);
  }
  free(got);
  return object;
}

// notifySupervisor(path, text) -> 0 or -errno
static napi_value js_notify(napi_env env, napi_callback_info info) {
  napi_value args[2];
  char path[PATH_MAX_BYTES], text[PATH_MAX_BYTES];
  int length;
  if (!arguments(env, info, args, 2) || text_of(env, args[0], path, sizeof path) < 0 ||
      (length = text_of(env, args[1], text, sizeof text)) < 0)
    return fail(env, "notifySupervisor(path, text)");
  return number(env, -supervisor_notify(path, text, (size_t)length));
}

int export_fd_passing(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback call;
  } functions[] = {{"listeningAddress", js_listening_address},
                   {"sendDescriptors", js_send},
                   {"requestDescriptors", js_request},
                   {"notifySupervisor", js_notify}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &function) != napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
      return 0;
  }
  return 1;
}
