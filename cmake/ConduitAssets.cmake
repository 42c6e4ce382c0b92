# SPDX-License-Identifier: ISC
#
#   conduit_add_assets(TARGET DIR [NAME name])
#
# Compiles every file below DIR into TARGET, with content types and entity
# tags. TARGET's sources reach them by `#include "<name>_assets.h"`. The name
# is that of the target unless given, with _ for what no identifier may have.
# The tool's depfile names the files and folders it read, so a file that
# changes, comes or goes is noticed by the next build.

include_guard(GLOBAL)

function(conduit_add_assets target dir)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "NAME" "")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "conduit_add_assets(${target} ${dir}): unknown "
                            "arguments ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT arg_NAME)
        set(arg_NAME "${target}")
    endif()
    string(MAKE_C_IDENTIFIER "${arg_NAME}" name)
    cmake_path(ABSOLUTE_PATH dir BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
               NORMALIZE)
    if(NOT IS_DIRECTORY "${dir}")
        message(FATAL_ERROR "conduit_add_assets(${target}): no folder ${dir}")
    endif()

    set(out "${CMAKE_CURRENT_BINARY_DIR}/conduit-assets/${target}")
    file(MAKE_DIRECTORY "${out}")
    file(GLOB_RECURSE files CONFIGURE_DEPENDS "${dir}/*")
    add_custom_command(
        OUTPUT "${out}/${name}_assets.c" "${out}/${name}_assets.h"
        COMMAND conduit::conduit-assets -n "${name}"
                -o "${out}/${name}_assets.c" -H "${out}/${name}_assets.h"
                -d "${out}/${name}_assets.d" "${dir}"
        DEPENDS conduit::conduit-assets ${files}
        DEPFILE "${out}/${name}_assets.d"
        COMMENT "Generating the assets ${name} of ${target}"
        VERBATIM)
    target_sources(${target} PRIVATE "${out}/${name}_assets.c"
                                     "${out}/${name}_assets.h")
    target_include_directories(${target} PRIVATE "${out}")
endfunction()
