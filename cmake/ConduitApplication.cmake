# SPDX-License-Identifier: ISC
#
#   conduit_add_application(NAME source...)
#
# An executable made of portable sources that define
#
#   int conduit_main(struct conduit_ctx *ctx, int argc, char **argv);
#
# and of the start code of the platform that conduit was built for, which makes
# the context and calls it. Works in conduit's own tree and, after
# find_package(conduit), with an installed one.

include_guard(GLOBAL)

function(conduit_add_application name)
    if(NOT ARGN)
        message(FATAL_ERROR "conduit_add_application(${name}): no sources")
    endif()
    add_executable(${name} ${ARGN})
    target_link_libraries(${name} PRIVATE conduit::conduit_start
                                          conduit::conduit)
    target_link_options(${name} PRIVATE -Wl,--gc-sections)
endfunction()
