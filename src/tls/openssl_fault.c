/* SPDX-License-Identifier: ISC */
/*
 * What failures are called. OpenSSL leaves a queue of errors, the cause first;
 * certificates and alerts get the texts that both engines share, and the rest
 * OpenSSL's own words, which are static too.
 */
#include "openssl.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

int cdt_ossl_fault(struct cdt_ossl_session *s, int code, int native,
                   const char *text)
{
    s->base.fault.code = code;
    s->base.fault.native = native;
    s->base.fault.text = text;
    return code;
}

static const char *words(unsigned long error)
{
    const char *text = ERR_SYSTEM_ERROR(error) ? NULL
                                               : ERR_reason_error_string(error);

    return text != NULL ? text : "OpenSSL failed without saying why";
}

const char *cdt_ossl_reason(void)
{
    return words(ERR_peek_error());
}

/* The first error that is of TLS itself, else the first. */
static unsigned long cause(void)
{
    unsigned long first = ERR_get_error();
    unsigned long error = first;

    while (error != 0 && ERR_GET_LIB(error) != ERR_LIB_SSL) {
        error = ERR_get_error();
    }
    ERR_clear_error();
    return error != 0 ? error : first;
}

static const struct {
    int error;
    const char *text;
} verify_texts[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, CDT_TLS_EXPIRED},
    {X509_V_ERR_CERT_NOT_YET_VALID, CDT_TLS_NOT_YET},
    {X509_V_ERR_HOSTNAME_MISMATCH, CDT_TLS_WRONG_NAME},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, CDT_TLS_WRONG_NAME},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, CDT_TLS_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, CDT_TLS_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, CDT_TLS_UNKNOWN_CA},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, CDT_TLS_UNKNOWN_CA},
    {X509_V_ERR_CERT_UNTRUSTED, CDT_TLS_UNKNOWN_CA},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, CDT_TLS_SELF_SIGNED},
    {X509_V_ERR_INVALID_CA, CDT_TLS_NOT_A_CA},
    {X509_V_ERR_INVALID_NON_CA, CDT_TLS_NOT_A_CA},
    {X509_V_ERR_KEYUSAGE_NO_CERTSIGN, CDT_TLS_NOT_A_CA},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, CDT_TLS_PATH_LENGTH},
    {X509_V_ERR_CERT_CHAIN_TOO_LONG, CDT_TLS_TOO_MUCH},
    {X509_V_ERR_INVALID_PURPOSE, CDT_TLS_WRONG_USAGE},
    {X509_V_ERR_CERT_REJECTED, CDT_TLS_WRONG_USAGE},
    {X509_V_ERR_EE_KEY_TOO_SMALL, CDT_TLS_WEAK_KEY},
    {X509_V_ERR_CA_KEY_TOO_SMALL, CDT_TLS_WEAK_KEY},
    {X509_V_ERR_CA_MD_TOO_WEAK, "a signature in the certificate's chain is of "
                                "a weak kind"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, CDT_TLS_BAD_SIGNATURE},
    {X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE, CDT_TLS_BAD_SIGNATURE},
    {X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, CDT_TLS_BAD_CERTIFICATE},
    {X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD, CDT_TLS_BAD_CERTIFICATE},
    {X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD, CDT_TLS_BAD_CERTIFICATE},
    {X509_V_ERR_INVALID_EXTENSION, CDT_TLS_BAD_CERTIFICATE},
    {X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,
     "the certificate has a critical extension that is not known"},
    {X509_V_ERR_PERMITTED_VIOLATION, CDT_TLS_CONSTRAINTS},
    {X509_V_ERR_EXCLUDED_VIOLATION, CDT_TLS_CONSTRAINTS},
    {X509_V_ERR_SUBTREE_MINMAX, CDT_TLS_CONSTRAINTS},
    {X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, CDT_TLS_CONSTRAINTS},
    {X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, CDT_TLS_CONSTRAINTS},
    {X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, CDT_TLS_CONSTRAINTS},
    {X509_V_ERR_CERT_REVOKED, CDT_TLS_REVOKED},
    {X509_V_ERR_UNABLE_TO_GET_CRL, CDT_TLS_NO_CRL},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, CDT_TLS_NO_CRL},
    {X509_V_ERR_CRL_HAS_EXPIRED, "the CRL of the certificate's issuer has "
                                 "expired"},
    {X509_V_ERR_APPLICATION_VERIFICATION, CDT_TLS_NO_PIN},
};

const char *cdt_ossl_verify_text(int error)
{
    for (size_t i = 0; i < sizeof verify_texts / sizeof verify_texts[0]; i++) {
        if (verify_texts[i].error == error) {
            return verify_texts[i].text;
        }
    }
    return X509_verify_cert_error_string(error);
}

int cdt_ossl_fault_from_queue(struct cdt_ossl_session *s)
{
    unsigned long error = cause();
    int reason = ERR_GET_REASON(error);

    if (ERR_GET_LIB(error) != ERR_LIB_SSL) {
        return reason == ERR_R_MALLOC_FAILURE
                   ? cdt_ossl_fault(s, CONDUIT_ENOMEM, 0, "out of memory")
                   : cdt_ossl_fault(s, CONDUIT_ETLS, 0, words(error));
    }
    if (reason >= SSL_AD_REASON_OFFSET) {
        int alert = reason - SSL_AD_REASON_OFFSET;

        return cdt_ossl_fault(s, CONDUIT_ETLS, alert,
                              cdt_tls_alert_text((unsigned)alert));
    }
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        reason = (int)SSL_get_verify_result(s->ssl);
        return cdt_ossl_fault(s, CONDUIT_ECERT, reason,
                              cdt_ossl_verify_text(reason));
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return cdt_ossl_fault(s, CONDUIT_ECERT, 0, CDT_TLS_NO_CERTIFICATE);
    case ERR_R_ASN1_LIB: /* said of certificates only */
        return cdt_ossl_fault(s, CONDUIT_ECERT, 0, CDT_TLS_BAD_CERTIFICATE);
    case ERR_R_MALLOC_FAILURE:
        return cdt_ossl_fault(s, CONDUIT_ENOMEM, 0, "out of memory");
    default:
        return cdt_ossl_fault(s, CONDUIT_ETLS, 0, words(error));
    }
}
