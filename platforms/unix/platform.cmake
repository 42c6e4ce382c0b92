# SPDX-License-Identifier: ISC
#
# Unix: the system's C library, libevent and jansson.

pkg_check_modules(libevent_core REQUIRED IMPORTED_TARGET libevent_core>=2.1)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson>=2.13)

file(GLOB conduit_platform_sources CONFIGURE_DEPENDS
     src/transports/socket*.c platforms/unix/*.c)
set(conduit_start_sources "${PROJECT_SOURCE_DIR}/platforms/unix/main.c")
list(REMOVE_ITEM conduit_platform_sources ${conduit_start_sources})
list(FILTER conduit_platform_sources EXCLUDE
     REGEX "/platforms/unix/(tap|pcap|direct_unix)[^/]*$")
set(conduit_shared ON) # there is a shared library, too

# The direct stack, and its devices.
include(ConduitLwip)
set(conduit_direct OFF)
if(TARGET conduit_lwip AND EXISTS
   "${PROJECT_SOURCE_DIR}/platforms/unix/direct_unix.c")
    set(conduit_direct ON)
    file(GLOB device_sources CONFIGURE_DEPENDS
         platforms/unix/tap*.c platforms/unix/pcap*.c
         platforms/unix/direct_unix.c)
    list(APPEND conduit_platform_sources ${device_sources})
endif()

set_source_files_properties(
    ${conduit_platform_sources} ${conduit_start_sources}
    PROPERTIES COMPILE_DEFINITIONS _GNU_SOURCE)

set(conduit_register_source "${PROJECT_SOURCE_DIR}/platforms/unix/register.c")
if(conduit_direct)
    set_property(SOURCE ${conduit_register_source} APPEND PROPERTY
                 COMPILE_DEFINITIONS CONDUIT_HAS_DIRECT)
endif()
set(conduit_private_includes
    "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/platforms/unix")
set(conduit_core_needs PkgConfig::jansson)
set(conduit_platform_needs PkgConfig::libevent_core PkgConfig::jansson)
set(conduit_public_needs PkgConfig::jansson)
set(conduit_private_needs PkgConfig::libevent_core)
set(conduit_start_needs)
set(conduit_pc_requires libevent_core)
set(conduit_pc_libs)

if("openssl" IN_LIST CONDUIT_ENGINES)
    pkg_check_modules(openssl REQUIRED IMPORTED_TARGET openssl>=3.0)
    list(APPEND conduit_platform_sources ${openssl_sources})
    list(APPEND conduit_platform_needs PkgConfig::openssl)
    list(APPEND conduit_private_needs PkgConfig::openssl)
    string(APPEND conduit_pc_requires ", openssl")
endif()
if("bearssl" IN_LIST CONDUIT_ENGINES)
    find_library(CONDUIT_BEARSSL_LIBRARY bearssl REQUIRED
                 DOC "BearSSL (package libbearssl-dev)")
    mark_as_advanced(CONDUIT_BEARSSL_LIBRARY)
    list(APPEND conduit_private_needs bearssl)
    set(conduit_pc_libs -lbearssl)
endif()
