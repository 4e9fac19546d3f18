// What the TLS rigs call of OpenSSL as its clients: not in openssl.h, since the relay never does and they are linked with libssl.
#ifndef UPGATE_OPENSSL_CLIENT_H
#define UPGATE_OPENSSL_CLIENT_H

#include "../../src/relay/native/c/openssl.h"

const SSL_METHOD *TLS_client_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *);
long SSL_CTX_ctrl(SSL_CTX *, int, long, void *);
SSL *SSL_new(SSL_CTX *);
void SSL_free(SSL *);
void SSL_set_connect_state(SSL *);
int SSL_do_handshake(SSL *);
int SSL_read(SSL *, void *, int);
int SSL_write(SSL *, const void *, int);
int SSL_shutdown(SSL *);
int SSL_key_update(SSL *, int);
int SSL_get_error(const SSL *, int);
void ERR_clear_error(void);
#define SET_MAX_PROTO_VERSION 124

#endif
