# SPDX-License-Identifier: ISC
#
#   conduit_add_application(NAME [MEMORY mib] source...)
#
# A program made of portable sources that define
#
#   int conduit_main(struct conduit_ctx *ctx, int argc, char **argv);
#
# and of the start code of the platform that conduit was built for, which makes
# the context and calls it: an executable on Unix; on Xen an image that
# `xl create` takes, with NAME.xl beside it, the configuration of a domain with
# so many MiB of memory (16). Works in conduit's own tree and, after
# find_package(conduit), with an installed one.

include_guard(GLOBAL)

function(conduit_add_application name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "MEMORY" "")
    if(NOT arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "conduit_add_application(${name}): no sources")
    endif()
    add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PRIVATE conduit::conduit_start
                                          conduit::conduit)
    target_link_options(${name} PRIVATE -Wl,--gc-sections)
    if(CONDUIT_PLATFORM STREQUAL "xen")
        if(NOT arg_MEMORY)
            set(arg_MEMORY 16)
        endif()
        conduit_guest_files(${name} ${arg_MEMORY})
    endif()
endfunction()

# What the image is called, for its argv[0], and the domain's configuration.
function(conduit_guest_files target memory)
    set(name "$<TARGET_FILE_BASE_NAME:${target}>")
    set(kernel "$<TARGET_FILE:${target}>")
    set(source "${CMAKE_CURRENT_BINARY_DIR}/${target}-application.c")
    set(templates "${CONDUIT_GUEST_TEMPLATES}")
    foreach(kind IN ITEMS c xl)
        file(READ "${templates}/application.${kind}.in" content)
        string(CONFIGURE "${content}" content @ONLY)
        if(kind STREQUAL "c")
            file(GENERATE OUTPUT "${source}" CONTENT "${content}")
        else()
            file(GENERATE OUTPUT "${kernel}.xl" CONTENT "${content}")
        endif()
    endforeach()
    target_sources(${target} PRIVATE "${source}")
    set_property(TARGET ${target} APPEND PROPERTY
                 LINK_DEPENDS "${CONDUIT_GUEST_SCRIPT}")
endfunction()
