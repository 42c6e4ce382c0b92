# SPDX-License-Identifier: ISC
#
# Xen: a guest of its own for each program. The core sees ISO C's headers and
# jansson's alone; the platform musl's and Xen's as well.

if("openssl" IN_LIST CONDUIT_ENGINES)
    message(FATAL_ERROR "CONDUIT_ENGINES: openssl needs an operating system, "
                        "and a Xen guest has none; it has: bearssl")
endif()
enable_language(ASM)
set(CONDUIT_GUEST_SCRIPT "${PROJECT_SOURCE_DIR}/platforms/xen/guest/guest.ld")
set(CONDUIT_GUEST_TEMPLATES "${PROJECT_SOURCE_DIR}/platforms/xen/guest")
include(ConduitGuest)
include(ConduitXenHeaders)
if(NOT TARGET conduit_xen_headers)
    message(FATAL_ERROR "CONDUIT_PLATFORM=xen needs Xen's headers, xen/xen.h "
                        "(package libxen-dev)")
endif()
if(CONDUIT_SANITIZE OR CONDUIT_FUZZ)
    message(FATAL_ERROR "A Xen guest has no sanitizers and no fuzz targets")
endif()

set(folder "${PROJECT_BINARY_DIR}/iso-headers")
execute_process(COMMAND "${PROJECT_SOURCE_DIR}/cmake/make-iso-headers.sh"
                        "${folder}" "${CMAKE_C_COMPILER}"
                COMMAND_ERROR_IS_FATAL ANY)
add_library(conduit_guest_core INTERFACE)
target_compile_options(conduit_guest_core INTERFACE
                       "SHELL:-isystem ${folder}")
target_link_libraries(conduit_guest_core INTERFACE conduit_guest_code)

file(GLOB conduit_platform_sources CONFIGURE_DEPENDS platforms/xen/*.c)
file(GLOB conduit_start_sources CONFIGURE_DEPENDS
     platforms/xen/guest/*.c platforms/xen/guest/*.S)
set_source_files_properties(${conduit_start_sources}
                            PROPERTIES COMPILE_DEFINITIONS _GNU_SOURCE)

set(conduit_register_source
    "${PROJECT_SOURCE_DIR}/platforms/xen/guest/register.c")
set(conduit_private_includes
    "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/platforms/xen"
    "${PROJECT_SOURCE_DIR}/platforms/xen/guest")
set(conduit_shared OFF) # nothing in a guest could load it
set(conduit_core_needs conduit_guest_core)
set(conduit_platform_needs conduit_guest conduit_xen_headers)
set(conduit_public_needs $<BUILD_INTERFACE:conduit_guest>
                         $<INSTALL_INTERFACE:conduit::guest>)
set(conduit_private_needs)
set(conduit_start_needs $<BUILD_INTERFACE:conduit_xen_headers>)
