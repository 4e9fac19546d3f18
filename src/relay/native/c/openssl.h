// The functions of OpenSSL 3 that TLS in the relay's threads calls. They are looked up in the process when the addon is
// loaded: node carries OpenSSL itself, or a distribution's libssl that it is linked with. Nothing of OpenSSL is compiled
// in here, so a fix of node's is a fix of ours. One binary serves every version of node whose OpenSSL has these functions
// with these types, which OpenSSL promises for all of major version 3.
//
// Only functions that the manual of OpenSSL names are here, and no structure of it is looked into. What is a macro there
// stands below with the number of its command.
#ifndef UPGATE_OPENSSL_H
#define UPGATE_OPENSSL_H

#include <stddef.h>
#include <stdint.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
typedef struct bio_st BIO;
typedef struct bio_method_st BIO_METHOD;
typedef struct x509_st X509;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_mac_ctx_st EVP_MAC_CTX;

// OSSL_PARAM(3) describes this structure field by field, for callers who fill it in themselves.
typedef struct {
  const char *key;
  unsigned data_type;
  void *data;
  size_t data_size, return_size;
} OSSL_PARAM;

enum { OSSL_PARAM_UTF8_STRING = 4, OSSL_PARAM_OCTET_STRING = 5 };
#define OSSL_PARAM_UNMODIFIED ((size_t)-1)

enum {
  SSL_ERROR_SSL = 1,
  SSL_ERROR_WANT_READ = 2,
  SSL_ERROR_WANT_WRITE = 3,
  SSL_ERROR_SYSCALL = 5,
  SSL_ERROR_ZERO_RETURN = 6,
};

enum { BIO_CTRL_EOF = 2, BIO_CTRL_FLUSH = 11, BIO_FLAGS_READ = 1, BIO_FLAGS_WRITE = 2, BIO_FLAGS_SHOULD_RETRY = 8 };

enum {
  SSL_CTRL_MODE = 33,
  SSL_CTRL_SET_READ_AHEAD = 41,
  SSL_CTRL_SET_SESS_CACHE_MODE = 44,
  SSL_CTRL_CLEAR_MODE = 78,
  SSL_CTRL_CHAIN_CERT = 89,
  SSL_CTRL_SET_GROUPS_LIST = 92,
  SSL_CTRL_SET_MIN_PROTO_VERSION = 123,
};

enum {
  SSL_MODE_ENABLE_PARTIAL_WRITE = 1,
  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER = 2,
  SSL_MODE_AUTO_RETRY = 4,
  SSL_MODE_RELEASE_BUFFERS = 16,
};

// A connection that ends without a close_notify ends all the same, as it does with node: WebSocket and HTTP tell by
// themselves whether a message is whole.
#define SSL_OP_IGNORE_UNEXPECTED_EOF (1ull << 7)
#define SSL_OP_NO_COMPRESSION (1ull << 17)
#define SSL_OP_CIPHER_SERVER_PREFERENCE (1ull << 22)
#define SSL_OP_NO_RENEGOTIATION (1ull << 30)

enum { TLS1_2_VERSION = 0x303, TLS1_3_VERSION = 0x304 };
enum { SSL_TLSEXT_ERR_OK = 0, SSL_TLSEXT_ERR_ALERT_FATAL = 2 };
#define TLSEXT_NAMETYPE_host_name 0

typedef int (*ticket_key_cb)(SSL *, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int encrypt);
typedef int (*alpn_select_cb)(SSL *, const unsigned char **out, unsigned char *out_length, const unsigned char *offered,
                              unsigned offered_length, void *arg);
typedef int (*password_cb)(char *to, int size, int writes, void *arg);

// X(what it returns, its name, its parameters)
#define OPENSSL_FUNCTIONS(X)                                                                         \
  X(unsigned, OPENSSL_version_major, (void))                                                         \
  X(int, OPENSSL_init_ssl, (uint64_t, const void *))                                                 \
  X(const SSL_METHOD *, TLS_server_method, (void))                                                   \
  X(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *))                                                    \
  X(void, SSL_CTX_free, (SSL_CTX *))                                                                 \
  X(long, SSL_CTX_ctrl, (SSL_CTX *, int, long, void *))                                              \
  X(uint64_t, SSL_CTX_set_options, (SSL_CTX *, uint64_t))                                            \
  X(int, SSL_CTX_set_cipher_list, (SSL_CTX *, const char *))                                         \
  X(int, SSL_CTX_set_ciphersuites, (SSL_CTX *, const char *))                                        \
  X(int, SSL_CTX_use_certificate, (SSL_CTX *, X509 *))                                               \
  X(int, SSL_CTX_use_PrivateKey, (SSL_CTX *, EVP_PKEY *))                                            \
  X(int, SSL_CTX_check_private_key, (const SSL_CTX *))                                               \
  X(int, SSL_CTX_set_session_id_context, (SSL_CTX *, const unsigned char *, unsigned))               \
  X(long, SSL_CTX_set_timeout, (SSL_CTX *, long))                                                    \
  X(void, SSL_CTX_set_alpn_select_cb, (SSL_CTX *, alpn_select_cb, void *))                           \
  X(int, SSL_CTX_set_tlsext_ticket_key_evp_cb, (SSL_CTX *, ticket_key_cb))                           \
  X(int, SSL_CTX_set_ex_data, (SSL_CTX *, int, void *))                                              \
  X(void *, SSL_CTX_get_ex_data, (const SSL_CTX *, int))                                             \
  X(int, CRYPTO_get_ex_new_index, (int, long, void *, void *, void *, void *))                       \
  X(SSL_CTX *, SSL_get_SSL_CTX, (const SSL *))                                                       \
  X(SSL *, SSL_new, (SSL_CTX *))                                                                     \
  X(void, SSL_free, (SSL *))                                                                         \
  X(void, SSL_set_bio, (SSL *, BIO *, BIO *))                                                        \
  X(void, SSL_set_accept_state, (SSL *))                                                             \
  X(int, SSL_do_handshake, (SSL *))                                                                  \
  X(int, SSL_read, (SSL *, void *, int))                                                             \
  X(int, SSL_write, (SSL *, const void *, int))                                                      \
  X(int, SSL_shutdown, (SSL *))                                                                      \
  X(int, SSL_get_error, (const SSL *, int))                                                          \
  X(int, SSL_session_reused, (const SSL *))                                                          \
  X(const char *, SSL_get_servername, (const SSL *, int))                                            \
  X(void, ERR_clear_error, (void))                                                                   \
  X(unsigned long, ERR_peek_error, (void))                                                           \
  X(const char *, ERR_reason_error_string, (unsigned long))                                          \
  X(int, BIO_get_new_index, (void))                                                                  \
  X(BIO_METHOD *, BIO_meth_new, (int, const char *))                                                 \
  X(int, BIO_meth_set_read, (BIO_METHOD *, int (*)(BIO *, char *, int)))                             \
  X(int, BIO_meth_set_write, (BIO_METHOD *, int (*)(BIO *, const char *, int)))                      \
  X(int, BIO_meth_set_ctrl, (BIO_METHOD *, long (*)(BIO *, int, long, void *)))                      \
  X(BIO *, BIO_new, (const BIO_METHOD *))                                                            \
  X(int, BIO_free, (BIO *))                                                                          \
  X(BIO *, BIO_new_mem_buf, (const void *, int))                                                     \
  X(void, BIO_set_data, (BIO *, void *))                                                             \
  X(void *, BIO_get_data, (BIO *))                                                                   \
  X(void, BIO_set_init, (BIO *, int))                                                                \
  X(void, BIO_set_flags, (BIO *, int))                                                               \
  X(void, BIO_clear_flags, (BIO *, int))                                                             \
  X(X509 *, PEM_read_bio_X509, (BIO *, X509 **, password_cb, void *))                                \
  X(EVP_PKEY *, PEM_read_bio_PrivateKey, (BIO *, EVP_PKEY **, password_cb, void *))                  \
  X(void, X509_free, (X509 *))                                                                       \
  X(void, EVP_PKEY_free, (EVP_PKEY *))                                                               \
  X(const EVP_CIPHER *, EVP_aes_128_cbc, (void))                                                     \
  X(int, EVP_EncryptInit_ex, (EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *,   \
                              const unsigned char *))                                                \
  X(int, EVP_DecryptInit_ex, (EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *,   \
                              const unsigned char *))                                                \
  X(int, EVP_MAC_CTX_set_params, (EVP_MAC_CTX *, const OSSL_PARAM *))                                \
  X(int, RAND_bytes, (unsigned char *, int))                                                         \
  X(void, OPENSSL_cleanse, (void *, size_t))

struct openssl {
#define X(result, name, parameters) result(*name) parameters;
  OPENSSL_FUNCTIONS(X)
#undef X
};

// All functions, once openssl_load() has returned null. Never changes after that.
extern struct openssl ossl;

// Finds the functions, once for the process. Returns null, or why there is no TLS here, in words. Only the main thread
// calls this.
const char *openssl_load(void);

#endif
