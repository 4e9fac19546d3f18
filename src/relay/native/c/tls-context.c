// See tls-context.h.
#define _GNU_SOURCE
#include "tls-context.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EX_INDEX_SSL_CTX 1  // CRYPTO_EX_INDEX_SSL_CTX

struct served_name {
  char *name;
  SSL_CTX *context;
};

// In pages of its own, which no core dump has.
struct ticket_keys {
  uint8_t key[TICKET_KEYS_MAX][TICKET_KEY_SIZE];
};

struct tls_contexts {
  int references;  // atomic
  struct tls_settings settings;
  char *texts;  // what the settings' strings are in
  struct ticket_keys *ticket_keys;
  SSL_CTX **contexts;
  uint32_t context_count;
  struct served_name *names;  // sorted
  uint32_t name_count;
};

// -- Session tickets (RFC 5077 §4, RFC 8446 §4.6.1) ------------------------------------------------------------------

static int contexts_index(void) {
  static int index = -1;
  if (index < 0) index = ossl.CRYPTO_get_ex_new_index(EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, NULL);
  return index;
}

static int use_mac(EVP_MAC_CTX *mac, const uint8_t *key) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      {"key", OSSL_PARAM_OCTET_STRING, (void *)(uintptr_t)(key + 16), 16, OSSL_PARAM_UNMODIFIED},
      {"digest", OSSL_PARAM_UTF8_STRING, digest, sizeof digest - 1, OSSL_PARAM_UNMODIFIED},
      {NULL, 0, NULL, 0, 0},
  };
  return ossl.EVP_MAC_CTX_set_params(mac, parameters);
}

// As node makes and reads its own tickets, so that a client may come back to either engine. Returns as
// SSL_CTX_set_tlsext_ticket_key_evp_cb(3) says.
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int encrypt) {
  const struct tls_contexts *all = ossl.SSL_CTX_get_ex_data(ossl.SSL_get_SSL_CTX(ssl), contexts_index());
  const uint8_t(*keys)[TICKET_KEY_SIZE] = all->ticket_keys->key;
  if (encrypt) {
    memcpy(name, keys[0], 16);
    if (ossl.RAND_bytes(iv, 16) != 1) return -1;
    return ossl.EVP_EncryptInit_ex(cipher, ossl.EVP_aes_128_cbc(), NULL, keys[0] + 32, iv) == 1 && use_mac(mac, keys[0]) ? 1 : -1;
  }
  for (size_t i = 0; i < all->settings.ticket_key_count; i++) {
    if (memcmp(name, keys[i], 16) != 0) continue;
    if (!use_mac(mac, keys[i]) || ossl.EVP_DecryptInit_ex(cipher, ossl.EVP_aes_128_cbc(), NULL, keys[i] + 32, iv) != 1)
      return -1;
    return i == 0 ? 1 : 2;
  }
  return 0;
}

// -- ALPN -----------------------------------------------------------------------------------------------------------

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *offered,
                   unsigned offered_length, void *arg) {
  static const char http11[] = "http/1.1";
  (void)ssl;
  (void)arg;
  for (unsigned at = 0; at < offered_length; at += 1u + offered[at]) {
    if (offered[at] != sizeof http11 - 1 || at + offered[at] >= offered_length) continue;
    if (memcmp(offered + at + 1, http11, sizeof http11 - 1) != 0) continue;
    *out = offered + at + 1;
    *out_length = sizeof http11 - 1;
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static struct ticket_keys *keep_keys(const uint8_t *from, size_t count) {
  struct ticket_keys *keys = mmap(NULL, sizeof *keys, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (keys == MAP_FAILED) return NULL;
  madvise(keys, sizeof *keys, MADV_DONTDUMP);
  memcpy(keys->key, from, count * TICKET_KEY_SIZE);
  return keys;
}

static void drop_keys(struct ticket_keys *keys) {
  if (!keys) return;
  ossl.OPENSSL_cleanse(keys, sizeof *keys);
  munmap(keys, sizeof *keys);
}

// -- The set --------------------------------------------------------------------------------------------------------

struct tls_contexts *tls_contexts_new(const struct tls_settings *from) {
  const char *given[] = {from->ciphers, from->cipher_suites, from->groups, from->session_id_context};
  size_t size = 0;
  for (int i = 0; i < 4; i++) size += strlen(given[i]) + 1;
  struct tls_contexts *all = calloc(1, sizeof *all);
  char *at = all ? malloc(size) : NULL;
  int fits = from->ticket_key_count > 0 && from->ticket_key_count <= TICKET_KEYS_MAX;
  if (at && fits) all->ticket_keys = keep_keys(from->ticket_keys, from->ticket_key_count);
  if (!at || !all->ticket_keys) {
    free(at);
    free(all);
    return NULL;
  }
  all->references = 1;
  all->settings = *from;
  all->texts = at;
  const char **to[] = {&all->settings.ciphers, &all->settings.cipher_suites, &all->settings.groups,
                       &all->settings.session_id_context};
  for (int i = 0; i < 4; i++) {
    *to[i] = strcpy(at, given[i]);
    at += strlen(at) + 1;
  }
  all->settings.ticket_keys = NULL;
  return all;
}

void tls_contexts_hold(struct tls_contexts *all) { __atomic_add_fetch(&all->references, 1, __ATOMIC_RELAXED); }

void tls_contexts_release(struct tls_contexts *all) {
  if (!all || __atomic_sub_fetch(&all->references, 1, __ATOMIC_ACQ_REL)) return;
  for (uint32_t i = 0; i < all->context_count; i++) ossl.SSL_CTX_free(all->contexts[i]);
  for (uint32_t i = 0; i < all->name_count; i++) free(all->names[i].name);
  drop_keys(all->ticket_keys);
  free(all->contexts);
  free(all->names);
  free(all->texts);
  free(all);
}

static const char *why(void) {
  unsigned long error = ossl.ERR_peek_error();
  const char *reason = error ? ossl.ERR_reason_error_string(error) : NULL;
  ossl.ERR_clear_error();
  return reason ? reason : "no reason given";
}

// Without a password: an encrypted key was refused before.
static int no_password(char *to, int size, int writes, void *arg) {
  (void)to;
  (void)size;
  (void)writes;
  (void)arg;
  return 0;
}

static int use_chain(SSL_CTX *context, const char *pem) {
  BIO *bio = ossl.BIO_new_mem_buf(pem, -1);
  if (!bio) return 0;
  X509 *certificate = ossl.PEM_read_bio_X509(bio, NULL, no_password, NULL);
  int ok = certificate && ossl.SSL_CTX_use_certificate(context, certificate) == 1;
  ossl.X509_free(certificate);
  while (ok && (certificate = ossl.PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
    ok = ossl.SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 0, certificate) == 1;  // takes it
    if (!ok) ossl.X509_free(certificate);
  }
  ossl.BIO_free(bio);
  if (ok) ossl.ERR_clear_error();  // behind the last certificate there is none
  return ok;
}

static int use_key(SSL_CTX *context, const char *pem) {
  BIO *bio = ossl.BIO_new_mem_buf(pem, -1);
  if (!bio) return 0;
  EVP_PKEY *key = ossl.PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
  int ok = key && ossl.SSL_CTX_use_PrivateKey(context, key) == 1 && ossl.SSL_CTX_check_private_key(context) == 1;
  ossl.EVP_PKEY_free(key);
  ossl.BIO_free(bio);
  return ok;
}

static int configure(const struct tls_contexts *all, SSL_CTX *context) {
  const struct tls_settings *s = &all->settings;
  uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF;
  if (s->server_order) options |= SSL_OP_CIPHER_SERVER_PREFERENCE;
  ossl.SSL_CTX_set_options(context, options);
  // Idle connections hold no buffers, and a write takes what it can.
  ossl.SSL_CTX_ctrl(context, SSL_CTRL_MODE,
                    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS, NULL);
  ossl.SSL_CTX_ctrl(context, SSL_CTRL_CLEAR_MODE, SSL_MODE_AUTO_RETRY, NULL);  // see tls_read()
  ossl.SSL_CTX_ctrl(context, SSL_CTRL_SET_READ_AHEAD, 1, NULL);
  // Sessions are in tickets alone: no state here, and none to bound.
  ossl.SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, 0, NULL);
  ossl.SSL_CTX_set_timeout(context, (long)s->session_seconds);
  ossl.SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
  return ossl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, s->min_version, NULL) == 1 &&
         ossl.SSL_CTX_set_cipher_list(context, s->ciphers) == 1 &&
         ossl.SSL_CTX_set_ciphersuites(context, s->cipher_suites) == 1 &&
         ossl.SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)s->groups) == 1 &&
         ossl.SSL_CTX_set_session_id_context(context, (const unsigned char *)s->session_id_context,
                                             (unsigned)strlen(s->session_id_context)) == 1 &&
         ossl.SSL_CTX_set_ex_data(context, contexts_index(), (void *)(uintptr_t)all) == 1 &&
         ossl.SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1;
}

static int compare(const void *a, const void *b) {
  return strcmp(((const struct served_name *)a)->name, ((const struct served_name *)b)->name);
}

static SSL_CTX *find(const struct tls_contexts *all, const char *name) {
  const struct served_name key = {.name = (char *)(uintptr_t)name};
  const struct served_name *found =
      all->name_count ? bsearch(&key, all->names, all->name_count, sizeof *all->names, compare) : NULL;
  return found ? found->context : NULL;
}

// Adds the names that are new. Returns 0 where there is no memory.
static int add_names(struct tls_contexts *all, SSL_CTX *context, const char *names) {
  uint32_t before = all->name_count;
  for (const char *at = names, *end; *at; at = *end ? end + 1 : end) {
    end = strchr(at, '\n');
    if (!end) end = at + strlen(at);
    char *name = strndup(at, (size_t)(end - at));
    struct served_name *more = name ? realloc(all->names, (all->name_count + 1) * sizeof *more) : NULL;
    if (!more) {
      free(name);
      return 0;
    }
    all->names = more;
    // Searched among those that are sorted: its own come behind them.
    uint32_t count = all->name_count;
    all->name_count = before;
    int known = find(all, name) != NULL;
    all->name_count = count;
    if (known) free(name);
    else all->names[all->name_count++] = (struct served_name){name, context};
  }
  if (all->name_count) qsort(all->names, all->name_count, sizeof *all->names, compare);
  return 1;
}

const char *tls_contexts_add(struct tls_contexts *all, const char *chain, const char *key, const char *names) {
  ossl.ERR_clear_error();
  SSL_CTX *context = ossl.SSL_CTX_new(ossl.TLS_server_method());
  if (!context) return why();
  if (!configure(all, context) || !use_chain(context, chain) || !use_key(context, key)) {
    const char *reason = why();
    ossl.SSL_CTX_free(context);
    return reason;
  }
  SSL_CTX **more = realloc(all->contexts, (all->context_count + 1) * sizeof *more);
  if (!more) {
    ossl.SSL_CTX_free(context);
    return "out of memory";
  }
  all->contexts = more;
  all->contexts[all->context_count++] = context;
  return add_names(all, context, names) ? NULL : "out of memory";
}

// Exact, then a wildcard for its first label (RFC 9525 §6.3), else the first certificate's.
SSL_CTX *tls_contexts_for(const struct tls_contexts *all, const struct client_hello *hello) {
  const struct tls_settings *s = &all->settings;
  if (hello->acme || (hello->h2 && s->http2) || (hello->has_alpn && !hello->http11)) return NULL;
  if (!hello->tls13 && (!hello->tls12 || s->min_version > TLS1_2_VERSION)) return NULL;
  SSL_CTX *context = hello->name[0] ? find(all, hello->name) : NULL;
  const char *dot = context ? NULL : strchr(hello->name, '.');
  if (dot) {
    char wildcard[sizeof hello->name + 1] = "*";
    strcpy(wildcard + 1, dot);
    context = find(all, wildcard);
  }
  if (context || s->strict_sni || !all->context_count) return context;
  return all->contexts[0];
}
