/* SPDX-License-Identifier: ISC */
/*
 * A private key that was read is nowhere in this process once its configuration
 * is gone: not in memory that was given back, nor in the C library's buffers,
 * nor on the stack. A child makes the key, so that it was never here before;
 * what is looked for is kept inverted.
 *
 * OpenSSL leaves copies of its own where it decodes PEM, so that it is held to
 * what it was handed: memory that conduit gives back.
 */
#include "support.h"

#include "tls_certs.h"

#include <conduit/tls.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#define PART 16

/* Sixteen bytes out of the key, and out of its base64; inverted. */
struct needles {
    uint8_t raw[PART];
    uint8_t text[PART];
};

static struct needles needles;

/* ---- the key ------------------------------------------------------------ */

static void invert(uint8_t *to, const void *from)
{
    for (size_t i = 0; i < PART; i++) {
        to[i] = (uint8_t) ~((const uint8_t *)from)[i];
    }
}

static void make_in_child(const char *dir, int out)
{
    struct tls_cert *cert = tls_cert_new(
        &(struct tls_cert_spec){.cn = "server", .san = "DNS:a.example"});
    BIGNUM *number = NULL;
    uint8_t raw[32];
    struct needles made;

    tls_cert_save(dir, "cert.pem", cert->chain);
    tls_cert_save(dir, "key.pem", cert->key);
    assert_int_equal(
        EVP_PKEY_get_bn_param(cert->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &number),
        1);
    assert_int_equal(BN_bn2binpad(number, raw, sizeof raw), sizeof raw);
    invert(made.raw, raw + 8);
    invert(made.text, strchr(cert->key, '\n') + 61 - PART);
    assert_int_equal(write(out, &made, sizeof made), sizeof made);
}

static void make_key(const char *dir)
{
    int ends[2];
    int status = -1;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        make_in_child(dir, ends[1]);
        _exit(0);
    }
    assert_int_equal(read(ends[0], &needles, sizeof needles), sizeof needles);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- looking ------------------------------------------------------------ */

static bool is_at(const uint8_t *at, const uint8_t *inverted)
{
    for (size_t i = 0; i < PART; i++) {
        if ((at[i] ^ inverted[i]) != 0xff) {
            return false;
        }
    }
    return true;
}

static unsigned count_in(const uint8_t *data, size_t n)
{
    unsigned found = 0;

    for (size_t i = 0; i + PART <= n; i++) {
        found += is_at(data + i, needles.raw) || is_at(data + i, needles.text);
    }
    return found;
}

#define WINDOW ((size_t)1 << 20)
#define LARGEST ((size_t)256 << 20) /* shadows of sanitizers are larger */

/* What is read to look at it is a copy; it is cleared behind us. */
static unsigned count_range(int memory, uint8_t *window, uintptr_t from,
                            uintptr_t to)
{
    unsigned found = 0;

    while (from < to) {
        size_t n = to - from < WINDOW ? to - from : WINDOW;
        ssize_t got = from == (uintptr_t)window
                          ? -1
                          : pread(memory, window, n, (off_t)from);

        if (got > 0) {
            found += count_in(window, (size_t)got);
            memset(window, 0, (size_t)got);
        }
        from += n == WINDOW && to - from > WINDOW ? WINDOW - PART : n;
    }
    return found;
}

/* In all memory of this process that can be written. */
static unsigned count_everywhere(void)
{
    static uint8_t window[WINDOW];
    int memory = open("/proc/self/mem", O_RDONLY);
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned found = 0;

    assert_true(memory >= 0);
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        char *at = line; /* "FROM-TO MODE" */
        uintptr_t from = strtoul(at, &at, 16);
        uintptr_t to = strtoul(at + 1, &at, 16);

        if (strncmp(at, " rw", 3) == 0 && to - from <= LARGEST) {
            found += count_range(memory, window, from, to);
        }
    }
    fclose(maps);
    close(memory);
    return found;
}

/* ---- memory that conduit gives back ------------------------------------- */

static unsigned given_back; /* with a part of the key in it */
static unsigned taken;

struct block {
    size_t size;
    max_align_t data[];
};

static void look_and_release(void *arg, void *ptr)
{
    struct block *block = ptr != NULL ? (struct block *)ptr - 1 : NULL;

    (void)arg;
    if (block != NULL) {
        given_back += count_in(ptr, block->size);
        taken--;
    }
    free(block);
}

static void *look_and_resize(void *arg, void *ptr, size_t size)
{
    struct block *block = calloc(1, sizeof *block + size);
    size_t old = ptr != NULL ? ((struct block *)ptr - 1)->size : 0;

    assert_non_null(block);
    taken++;
    block->size = size;
    if (ptr != NULL) {
        memcpy(block->data, ptr, old < size ? old : size);
        look_and_release(arg, ptr);
    }
    return block->data;
}

/* ---- the tests ---------------------------------------------------------- */

static void make_env(struct t_env *env)
{
    struct conduit_ctx_options options;
    struct conduit_error err = {0};

    memset(env, 0, sizeof *env);
    t_env_options(env, &options);
    options.allocator.resize = look_and_resize;
    options.allocator.release = look_and_release;
    assert_int_equal(t_platform_new(&options, &env->ctx, &err), 0);
    assert_int_equal(t_env_made(env), 0);
}

static void use_key(struct t_env *env, const char *engine, bool wrong)
{
    char chain[128];
    char key[128];
    struct conduit_tls_identity identity = {.chain.name = chain,
                                            .key.name = key};
    struct conduit_tls_options options = {
        .engine = engine, .identities = &identity, .identity_count = 1};
    struct conduit_error err = {0};
    struct conduit_tls *tls = NULL;
    struct conduit_listener *l = NULL;

    snprintf(chain, sizeof chain, "%s/%s.pem", env->dir,
             wrong ? "key" : "cert");
    snprintf(key, sizeof key, "%s/key.pem", env->dir);
    assert_int_equal(conduit_tls_new(env->ctx, &options, &tls, &err),
                     wrong ? CONDUIT_EINVAL : 0);
    if (!wrong) {
        assert_int_equal(conduit_listen(env->ctx, "tls+mem://a",
                                        &(struct conduit_options){.tls = tls},
                                        NULL, NULL, &l, &err),
                         0);
        assert_true(count_everywhere() > 0); /* it is in use, and can be seen */
        assert_int_equal(conduit_tls_reload(tls, &err), 0);
    }
    conduit_listener_close(l);
    conduit_tls_unref(tls);
}

static void try_engine(const char *engine, bool everywhere)
{
    struct t_env env;

    make_env(&env);
    given_back = 0;
    (void)t_dir(&env);
    make_key(env.dir);
    assert_int_equal(count_everywhere(), 0);
    for (int wrong = 0; wrong < 2; wrong++) {
        use_key(&env, engine, wrong == 1);
        assert_int_equal(given_back, 0);
        assert_int_equal(everywhere ? count_everywhere() : 0, 0);
    }
    t_env_fini(&env);
    assert_int_equal(taken, 0);
}

static void bearssl(void **state)
{
    (void)state;
    try_engine("bearssl", true);
}

static void openssl(void **state)
{
    (void)state;
    try_engine("openssl", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bearssl), /* before OpenSSL has left copies */
        cmocka_unit_test(openssl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
