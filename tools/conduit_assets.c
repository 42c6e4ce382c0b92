/* SPDX-License-Identifier: ISC */
/*
 * conduit-assets: writes a folder as C source, for <conduit/assets.h>.
 *
 * It runs on the machine that builds, before anything of conduit exists, so it
 * shares no code with the library. The same folder gives the same bytes on
 * every machine: entries are sorted by their bytes, no locale is ever set, and
 * of the folder's own name nothing is written but into the dependency file.
 *
 * Content becomes arrays of decimal numbers. String literals would be shorter,
 * but one that is longer than 4095 bytes is beyond what C11 promises, and
 * linking the files in as objects (ld -r -b binary, .incbin) needs to know the
 * tools and the target. An output is put together in memory: that is a few
 * times the folder's size, of which the compiler will need more.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: conduit-assets -n NAME -o OUT.c -H OUT.h [-d DEPFILE] DIR\n"
    "\n"
    "Writes the files below DIR into OUT.c as struct conduit_assets NAME,\n"
    "which OUT.h declares. Names that begin with a dot and editors' backups\n"
    "(*~, #*#, *.bak, *.swp) are left out, symbolic links out of DIR refused.\n"
    "\n"
    "  -n NAME     the table's name, an identifier in C\n"
    "  -o OUT.c    the source to write\n"
    "  -H OUT.h    the header to write, left alone where it would not change\n"
    "  -d DEPFILE  write what OUT.c was made from, as a rule for make\n"
    "  -h          print this\n";

/* Says what went wrong and answers false, to be returned. */
__attribute__((format(printf, 1, 2))) static bool fail(const char *fmt, ...)
{
    va_list args;

    fputs("conduit-assets: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

static bool fail_errno(const char *path)
{
    return fail("%s: %s", path, strerror(errno));
}

static bool fail_memory(void)
{
    return fail("out of memory");
}

/* A file or a folder. */
struct entry {
    char *path; /* DIR, '/' and the place within DIR */
    /* Of folders: which one, and the index of the one it was found in */
    dev_t device;
    ino_t inode;
    size_t up;
    /* Of files, once they have been read: bytes, and their FNV-1a hash */
    uint64_t size;
    uint64_t hash;
};

#define NO_ENTRY SIZE_MAX /* what DIR itself was found in */

struct list {
    struct entry *items;
    size_t count;
    size_t room;
};

struct tree {
    char *root; /* DIR with all links resolved, where links must stay */
    struct list files;
    struct list dirs;
};

/* Takes the entry's path over where it succeeds. */
static bool list_add(struct list *list, const struct entry *entry)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : list->room * 2;
        struct entry *items = reallocarray(list->items, room, sizeof(*items));

        if (items == NULL) {
            return fail_memory();
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = *entry;
    return true;
}

static void list_fini(struct list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
    }
    free(list->items);
}

/*
 * By strcmp() rather than strcoll(): conduit_assets_find() relies on the
 * order. All paths begin with DIR, so it is that of the rest of them as well.
 */
static int entry_order(const void *a, const void *b)
{
    const struct entry *first = a;
    const struct entry *second = b;

    return strcmp(first->path, second->path);
}

static void list_sort(struct list *list)
{
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof(*list->items), entry_order);
    }
}

/* For scandir(): not what editors and version control leave lying about. */
static int is_wanted(const struct dirent *entry)
{
    static const char *const unwanted[] = {".*", "*~", "#*#", "*.bak", "*.swp"};

    for (size_t i = 0; i < sizeof(unwanted) / sizeof(*unwanted); i++) {
        if (fnmatch(unwanted[i], entry->d_name, 0) == 0) {
            return 0;
        }
    }
    return 1;
}

/* What a link leads to, which must be below the root by whatever way. */
static bool follow(const struct tree *tree, const char *path, struct stat *st)
{
    char *end = realpath(path, NULL);
    size_t n = strlen(tree->root);
    bool inside;

    if (end == NULL) {
        return fail("%s: symbolic link: %s", path, strerror(errno));
    }
    inside = strncmp(end, tree->root, n) == 0 &&
             (end[n] == '/' || end[n] == '\0' || n == 1);
    free(end);
    if (!inside) {
        return fail("%s: symbolic link leads out of the folder", path);
    }
    return stat(path, st) == 0 || fail_errno(path);
}

/* Is the folder none of those it is in, which a link can make it? */
static bool check_circle(const struct tree *tree, const struct entry *dir)
{
    for (size_t i = dir->up; i != NO_ENTRY; i = tree->dirs.items[i].up) {
        const struct entry *above = &tree->dirs.items[i];

        if (above->device == dir->device && above->inode == dir->inode) {
            return fail("%s: symbolic link to a folder it is in", dir->path);
        }
    }
    return true;
}

/* Adds what is at a path to the right list, and the path goes with it. */
static bool add(struct tree *tree, char *path, size_t up)
{
    struct entry entry = {.path = path, .up = up};
    struct stat st;

    if (lstat(path, &st) != 0) {
        return fail_errno(path);
    }
    if (S_ISLNK(st.st_mode) && !follow(tree, path, &st)) {
        return false;
    }
    if (S_ISREG(st.st_mode)) {
        return list_add(&tree->files, &entry);
    }
    if (!S_ISDIR(st.st_mode)) {
        return fail("%s: neither a file nor a folder", path);
    }
    entry.device = st.st_dev;
    entry.inode = st.st_ino;
    return check_circle(tree, &entry) && list_add(&tree->dirs, &entry);
}

static bool visit(struct tree *tree, const char *dir, const char *separator,
                  const char *name, size_t up)
{
    char *path = NULL;
    bool ok;

    if (asprintf(&path, "%s%s%s", dir, separator, name) < 0) {
        return fail_memory();
    }
    ok = add(tree, path, up);
    if (!ok) {
        free(path);
    }
    return ok;
}

/* Visits what is in one of the folders. */
static bool scan(struct tree *tree, size_t at)
{
    const char *dir = tree->dirs.items[at].path;
    struct dirent **entries;
    int count = scandir(dir, &entries, is_wanted, NULL);
    bool ok = true;

    if (count < 0) {
        return fail_errno(dir);
    }
    for (int i = 0; i < count; i++) {
        ok = ok && visit(tree, dir, "/", entries[i]->d_name, at);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

/* The list of folders is the queue of those still to scan. */
static bool tree_read(struct tree *tree, const char *dir)
{
    tree->root = realpath(dir, NULL);
    if (tree->root == NULL) {
        return fail_errno(dir);
    }
    if (!visit(tree, dir, "", "", NO_ENTRY)) {
        return false;
    }
    if (tree->dirs.count == 0) {
        return fail("%s: not a folder", dir);
    }
    for (size_t i = 0; i < tree->dirs.count; i++) {
        if (!scan(tree, i)) {
            return false;
        }
    }
    list_sort(&tree->files);
    list_sort(&tree->dirs);
    return true;
}

static void tree_fini(struct tree *tree)
{
    list_fini(&tree->files);
    list_fini(&tree->dirs);
    free(tree->root);
}

/*
 * Types by the name's end, those of text/ with their charset. The others have
 * none to give: JSON is always UTF-8 (RFC 8259), XML says so itself (RFC 7303).
 */
static const struct {
    const char *extension;
    const char *type;
} types[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"xml", "application/xml"},
    {"wasm", "application/wasm"},
    {"pdf", "application/pdf"},
    {"pem", "application/x-pem-file"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"ico", "image/vnd.microsoft.icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
};

static const char *type_of(const char *path)
{
    const char *dot = strrchr(strrchr(path, '/'), '.');

    for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(*types); i++) {
        if (strcasecmp(dot + 1, types[i].extension) == 0) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

/* Writes a file's bytes as numbers, and notes how many and their hash. */
static bool put_content(FILE *out, struct entry *entry)
{
    FILE *in = fopen(entry->path, "re");
    int column = 0;
    bool ok;
    int c;

    if (in == NULL) {
        return fail_errno(entry->path);
    }
    entry->size = 0;
    entry->hash = FNV_START;
    while ((c = getc(in)) != EOF) {
        entry->size++;
        entry->hash = (entry->hash ^ (uint64_t)c) * FNV_PRIME;
        column += fprintf(out, "%d,", c);
        if (column > 74) {
            fputc('\n', out);
            column = 0;
        }
    }
    ok = !ferror(in) || fail_errno(entry->path);
    fclose(in);
    return ok;
}

/*
 * A path as a string literal. Octal escapes have three digits at most, so that
 * a digit may follow; '?' is escaped because two of them can be a trigraph.
 */
static void put_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < ' ' || c > '~') {
            fprintf(file, "\\%03o", (unsigned)c);
        } else if (c == '"' || c == '\\' || c == '?') {
            fprintf(file, "\\%c", c);
        } else {
            fputc(c, file);
        }
    }
    fputc('"', file);
}

static void put_item(FILE *file, const char *path, const char *name, size_t i,
                     const struct entry *entry)
{
    fputs("    {.path = ", file);
    put_string(file, path);
    fprintf(file,
            ",\n"
            "     .type = \"%s\",\n"
            "     .etag = \"\\\"%016" PRIx64 "-%" PRIx64 "\\\"\",\n"
            "     .data = %s_%zu,\n"
            "     .size = %" PRIu64 "},\n",
            type_of(path), entry->hash, entry->size, name, i, entry->size);
}

struct options {
    const char *name;
    const char *source;
    const char *header;
    const char *depfile; /* empty for none */
    char *dir;           /* without '/' at its end */
};

/* Puts one of the outputs together. */
typedef bool put_fn(FILE *file, const struct options *options,
                    struct tree *tree);

/*
 * A zero follows the bytes of every file, so that an empty file is no empty
 * array, which C does not have; nor has it an empty table.
 */
static bool put_source(FILE *file, const struct options *options,
                       struct tree *tree)
{
    const char *name = options->name;
    struct list *files = &tree->files;

    fprintf(file,
            "/* Written by conduit-assets; changes will be lost. */\n"
            "#include <conduit/assets.h>\n\n"
            "extern const struct conduit_assets %s;\n",
            name);
    for (size_t i = 0; i < files->count; i++) {
        fprintf(file, "\nstatic const unsigned char %s_%zu[] = {\n", name, i);
        if (!put_content(file, &files->items[i])) {
            return false;
        }
        fputs("\n0};\n", file);
    }
    if (files->count == 0) {
        fprintf(file, "\nconst struct conduit_assets %s = {NULL, 0};\n", name);
        return true;
    }
    fprintf(file, "\nstatic const struct conduit_asset %s_items[] = {\n", name);
    for (size_t i = 0; i < files->count; i++) {
        const struct entry *entry = &files->items[i];

        put_item(file, entry->path + strlen(options->dir), name, i, entry);
    }
    fprintf(file,
            "};\n\n"
            "const struct conduit_assets %s = {\n"
            "    .items = %s_items,\n"
            "    .count = %zu,\n"
            "};\n",
            name, name, files->count);
    return true;
}

/* The guard keeps the name's case: two tables may differ in nothing else. */
static bool put_header(FILE *file, const struct options *options,
                       struct tree *tree)
{
    const char *name = options->name;

    (void)tree;
    fprintf(file,
            "/* Written by conduit-assets; changes will be lost. */\n"
            "#ifndef CONDUIT_ASSETS_%s_H\n"
            "#define CONDUIT_ASSETS_%s_H\n\n"
            "#include <conduit/assets.h>\n\n"
            "extern const struct conduit_assets %s;\n\n"
            "#endif\n",
            name, name, name);
    return true;
}

/*
 * A path as make reads it, and ninja, and CMake. They agree on few characters:
 * of a line break none can be told, of a colon or a backslash not all.
 */
static bool put_make_path(FILE *file, const char *path)
{
    if (strpbrk(path, "\r\n\\:") != NULL) {
        return fail("%s: a dependency file cannot hold this name", path);
    }
    for (; *path != '\0'; path++) {
        if (strchr(" \t#", *path) != NULL) {
            fputc('\\', file);
        } else if (*path == '$') {
            fputc('$', file);
        }
        fputc(*path, file);
    }
    return true;
}

static bool put_make_paths(FILE *file, const struct list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        fputs(" \\\n  ", file);
        if (!put_make_path(file, list->items[i].path)) {
            return false;
        }
    }
    return true;
}

/*
 * Folders are listed too, because their time is what changes where a file
 * comes or goes. There is no rule for each path, as compilers write them to
 * let make go on without a file: '%' and '=' have a meaning there.
 */
static bool put_depfile(FILE *file, const struct options *options,
                        struct tree *tree)
{
    if (!put_make_path(file, options->source)) {
        return false;
    }
    fputc(':', file);
    if (!put_make_paths(file, &tree->dirs) ||
        !put_make_paths(file, &tree->files)) {
        return false;
    }
    fputc('\n', file);
    return true;
}

/* Whether the file at a path can be read and is these bytes. */
static bool holds(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t i = 0;
    bool same;

    if (file == NULL) {
        return false;
    }
    while (i < size && getc(file) == (unsigned char)bytes[i]) {
        i++;
    }
    same = i == size && getc(file) == EOF && !ferror(file);
    fclose(file);
    return same;
}

/*
 * Under another name first, so that nobody finds half of it. Not a name from
 * mkstemp(), whose files are the user's alone.
 */
static bool save(const char *path, const char *bytes, size_t size)
{
    char *temp = NULL;
    FILE *file = NULL;
    bool ok = false;

    if (asprintf(&temp, "%s.%ld.tmp", path, (long)getpid()) < 0) {
        return fail_memory();
    }
    file = fopen(temp, "we");
    if (file != NULL) {
        ok = fwrite(bytes, 1, size, file) == size;
        ok = fclose(file) == 0 && ok;
        ok = ok && rename(temp, path) == 0;
    }
    if (!ok) {
        fail_errno(path);
        unlink(temp);
    }
    free(temp);
    return ok;
}

/* One of the outputs, in memory until all of them are whole. */
struct output {
    const char *path; /* empty for one that is not asked for */
    put_fn *put;
    char *bytes;
    size_t size;
};

static bool output_make(struct output *out, const struct options *options,
                        struct tree *tree)
{
    FILE *file = open_memstream(&out->bytes, &out->size);
    bool ok;
    bool whole;

    if (file == NULL) {
        return fail_memory();
    }
    ok = out->put(file, options, tree);
    whole = ferror(file) == 0;
    whole = fclose(file) == 0 && whole;
    return ok && (whole || fail_memory());
}

/* The source comes last: its time is what tells that the work is done. */
static bool emit(const struct options *options, struct tree *tree)
{
    struct output all[] = {{.path = options->header, .put = put_header},
                           {.path = options->depfile, .put = put_depfile},
                           {.path = options->source, .put = put_source}};
    const size_t count = sizeof(all) / sizeof(*all);
    bool ok = true;

    for (size_t i = 0; i < count && ok; i++) {
        ok = all[i].path[0] == '\0' || output_make(&all[i], options, tree);
    }
    for (size_t i = 0; i < count && ok; i++) {
        bool kept = all[i].path[0] == '\0' ||
                    (i == 0 && holds(all[i].path, all[i].bytes, all[i].size));

        ok = kept || save(all[i].path, all[i].bytes, all[i].size);
    }
    for (size_t i = 0; i < count; i++) {
        free(all[i].bytes);
    }
    return ok;
}

static bool is_identifier(const char *name)
{
    static const char *const keywords =
        " auto break case char const continue default do double else enum "
        "extern float for goto if inline int long register restrict return "
        "short signed sizeof static struct switch typedef union unsigned void "
        "volatile while ";
    const size_t n = strlen(name);

    if (n == 0 || isdigit((unsigned char)name[0])) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && name[i] != '_') {
            return false;
        }
    }
    for (const char *at = keywords; (at = strstr(at, name)) != NULL; at++) {
        if (at[-1] == ' ' && at[n] == ' ') {
            return false;
        }
    }
    return true;
}

/* Whether the options make a command; says why not. */
static bool check_options(const struct options *options)
{
    if (options->source[0] == '\0' || options->header[0] == '\0') {
        return fail("-o and -H are needed (-h for help)");
    }
    if (!is_identifier(options->name)) {
        return fail("-n '%s': not an identifier in C", options->name);
    }
    if (strcmp(options->source, options->header) == 0 ||
        strcmp(options->source, options->depfile) == 0 ||
        strcmp(options->header, options->depfile) == 0) {
        return fail("each output needs a file of its own");
    }
    return true;
}

/* Answers what to exit with, or -1 where there is work to do. */
static int parse_options(struct options *options, int argc, char **argv)
{
    int letter;

    while ((letter = getopt(argc, argv, "n:o:H:d:h")) != -1) {
        switch (letter) {
        case 'n':
            options->name = optarg;
            break;
        case 'o':
            options->source = optarg;
            break;
        case 'H':
            options->header = optarg;
            break;
        case 'd':
            options->depfile = optarg;
            break;
        case 'h':
            fputs(usage_text, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        default:
            return 2; /* getopt() has said why */
        }
    }
    if (argc - optind != 1) {
        fail("one folder is needed (-h for help)");
        return 2;
    }
    options->dir = argv[optind];
    for (size_t n = strlen(argv[optind]); n > 1 && options->dir[n - 1] == '/';
         n--) {
        options->dir[n - 1] = '\0';
    }
    return check_options(options) ? -1 : 2;
}

int main(int argc, char **argv)
{
    struct options options = {
        .name = "", .source = "", .header = "", .depfile = ""};
    struct tree tree = {0};
    int status = parse_options(&options, argc, argv);

    if (status < 0) {
        bool ok = tree_read(&tree, options.dir) && emit(&options, &tree);

        status = ok ? 0 : 1;
        tree_fini(&tree);
    }
    return status;
}
