# SPDX-License-Identifier: ISC
#
# How programs for a Xen guest are compiled and linked, as the target
# conduit_guest. The compiler is the machine's own: a guest differs from a
# program for Linux in its headers (musl's, and the few others it may see, in a
# folder of their own), in its libraries (musl's libc.a from package musl-dev,
# jansson's), and in its layout. Works in conduit's own tree and, after
# find_package(conduit), with an installed one.

include_guard(GLOBAL)

if(NOT CMAKE_C_COMPILER_ID MATCHES "^(GNU|Clang)$")
    message(FATAL_ERROR "A Xen guest is compiled by gcc or clang, not "
                        "${CMAKE_C_COMPILER_ID}")
endif()
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    message(FATAL_ERROR "A Xen guest is for x86-64, not "
                        "${CMAKE_SYSTEM_PROCESSOR}")
endif()

find_path(CONDUIT_MUSL_INCLUDE_DIR NAMES bits/alltypes.h
          HINTS /usr/include/x86_64-linux-musl NO_DEFAULT_PATH REQUIRED
          DOC "folder of musl's headers (package musl-dev)")
find_library(CONDUIT_MUSL_LIBRARY NAMES libc.a
             HINTS /usr/lib/x86_64-linux-musl NO_DEFAULT_PATH REQUIRED
             DOC "musl's libc.a (package musl-dev)")
find_path(CONDUIT_JANSSON_INCLUDE_DIR jansson.h REQUIRED
          DOC "folder of jansson.h (package libjansson-dev)")
find_library(CONDUIT_JANSSON_LIBRARY libjansson.a REQUIRED
             DOC "jansson's static library (package libjansson-dev)")
set(conduit_bearssl_headers)
if("bearssl" IN_LIST CONDUIT_ENGINES)
    find_path(CONDUIT_BEARSSL_INCLUDE_DIR bearssl.h REQUIRED
              DOC "folder of bearssl.h (package libbearssl-dev)")
    find_library(CONDUIT_BEARSSL_LIBRARY libbearssl.a REQUIRED
                 DOC "BearSSL's static library (package libbearssl-dev)")
    set(conduit_bearssl_headers "${CONDUIT_BEARSSL_INCLUDE_DIR}/bearssl.h"
        "${CONDUIT_BEARSSL_INCLUDE_DIR}/bearssl")
    mark_as_advanced(CONDUIT_BEARSSL_INCLUDE_DIR CONDUIT_BEARSSL_LIBRARY)
endif()
mark_as_advanced(CONDUIT_MUSL_INCLUDE_DIR CONDUIT_MUSL_LIBRARY
                 CONDUIT_JANSSON_INCLUDE_DIR CONDUIT_JANSSON_LIBRARY)

# The compiler's own headers (stdatomic.h, cpuid.h) and its library.
execute_process(COMMAND "${CMAKE_C_COMPILER}" -print-file-name=include
                OUTPUT_VARIABLE conduit_compiler_include
                OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CMAKE_C_COMPILER}" -print-libgcc-file-name
                OUTPUT_VARIABLE conduit_libgcc
                OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)

# What a guest sees of the system's headers besides musl's.
set(CONDUIT_GUEST_HEADERS "${PROJECT_BINARY_DIR}/guest-headers")
file(MAKE_DIRECTORY "${CONDUIT_GUEST_HEADERS}")
file(COPY "${CONDUIT_JANSSON_INCLUDE_DIR}/jansson.h"
          "${CONDUIT_JANSSON_INCLUDE_DIR}/jansson_config.h"
          ${conduit_bearssl_headers}
     DESTINATION "${CONDUIT_GUEST_HEADERS}" FOLLOW_SYMLINK_CHAIN)

# How code is generated: no position independence, nothing that needs a loader.
# Frame pointers are for the backtraces of traps; a frame larger than a page
# touches each, so that none steps over what guards the stack.
add_library(conduit_guest_code INTERFACE)
target_compile_options(conduit_guest_code INTERFACE
    -nostdinc -fno-pic -fno-pie -fno-omit-frame-pointer -fcf-protection=none
    -fno-asynchronous-unwind-tables -fno-unwind-tables
    -fstack-clash-protection)

# That, with the C library's headers, and how an image is linked. What the start
# code has in place of the C library's, or for jansson, which comes behind it, is
# asked for by name, so that it is there first.
add_library(conduit_guest INTERFACE)
target_compile_options(conduit_guest INTERFACE
    "SHELL:-isystem ${CONDUIT_GUEST_HEADERS}"
    "SHELL:-isystem ${CONDUIT_MUSL_INCLUDE_DIR}"
    "SHELL:-isystem ${conduit_compiler_include}")
target_link_options(conduit_guest INTERFACE
    -static -nostdlib "-Wl,-T,${CONDUIT_GUEST_SCRIPT}"
    -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack
    -Wl,--gc-sections -Wl,--wrap=__stack_chk_fail
    -Wl,--undefined=malloc -Wl,--undefined=__snprintf_chk)
target_link_libraries(conduit_guest INTERFACE conduit_guest_code
    "${CONDUIT_JANSSON_LIBRARY}" ${CONDUIT_BEARSSL_LIBRARY}
    "${CONDUIT_MUSL_LIBRARY}"
    "${conduit_libgcc}")
