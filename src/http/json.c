/* SPDX-License-Identifier: ISC */
/*
 * What jansson leaves to its user: a seed, and a limit of depth. jansson's
 * parser calls itself for each level of nesting, and its own limit of 2,048 is
 * fixed for a stack of megabytes, which a unikernel does not have. So levels
 * are counted before the text is parsed: one pass over the bytes that knows
 * strings from the rest and no more. Text that is no JSON at all may be counted
 * wrongly, and is refused one way or the other.
 */
#include <conduit/json.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int conduit_json_init(struct conduit_ctx *ctx)
{
    uint32_t seed = 0;
    int rc = conduit_ctx_entropy(ctx, &seed, sizeof seed);

    if (rc == 0) {
        /* 0 would make jansson look for entropy by itself. */
        json_object_seed(seed != 0 ? seed : 1);
    }
    return rc;
}

/* The offset of the bracket that opens a level beyond `depth`, or `size`. */
static size_t too_deep_at(const char *text, size_t size, unsigned depth)
{
    unsigned level = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (level == depth) {
                return i;
            }
            level++;
        } else if ((c == ']' || c == '}') && level > 0) {
            level--;
        }
    }
    return size;
}

static int report_depth(struct conduit_error *err, const char *text, size_t at,
                        unsigned depth)
{
    unsigned long line = 1;
    size_t line_at = 0;

    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            line++;
            line_at = i + 1;
        }
    }
    return conduit_error_set(err, CONDUIT_ELIMIT, "json", 0,
                             "%lu:%zu: nested more than %u levels deep", line,
                             at - line_at + 1, depth);
}

/* jansson quotes the input, where a peer may have put controls for a terminal.
 */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f) {
            *text = ' ';
        }
    }
}

static int report(struct conduit_error *err, json_error_t *why)
{
    int code = CONDUIT_EPROTO;

    switch (json_error_code(why)) {
    case json_error_out_of_memory:
        code = CONDUIT_ENOMEM;
        break;
    case json_error_stack_overflow:
        code = CONDUIT_ELIMIT;
        break;
    default:
        break;
    }
    make_plain(why->text);
    return conduit_error_set(err, code, "json", 0, "%d:%d: %s", why->line,
                             why->column, why->text);
}

json_t *conduit_json_parse(struct conduit_ctx *ctx, const void *data,
                           size_t size, unsigned depth,
                           struct conduit_error *err)
{
    const char *text = size > 0 ? data : "";
    unsigned asked = depth != 0 ? depth : CONDUIT_JSON_DEPTH;
    unsigned limit = asked < CONDUIT_JSON_DEPTH_MAX ? asked
                                                    : CONDUIT_JSON_DEPTH_MAX;
    size_t at = too_deep_at(text, size, limit);
    json_error_t why;
    json_t *value;

    (void)ctx;
    if (at < size) {
        (void)report_depth(err, text, at, limit);
        return NULL;
    }
    value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                       &why);
    if (value == NULL) {
        (void)report(err, &why);
    }
    return value;
}
