# SPDX-License-Identifier: ISC
#
# lwIP for the direct stack, from its source: no package has it compiled the way
# we need it. CONDUIT_LWIP_SOURCE is an unpacked release or its folder src; the
# scripts fetch Debian's. Without it there is no direct stack.
#
# Where it is, this makes
#   conduit_lwip_headers  for what includes lwIP, with the options in
#                         platforms/${CONDUIT_PLATFORM}/lwip
#   conduit_lwip          its objects: the core, IPv4, IPv6, Ethernet

set(CONDUIT_LWIP_SOURCE "${PROJECT_SOURCE_DIR}/build/sources/lwip" CACHE PATH
    "folder of lwIP's source (Debian's source package lwip)")

find_path(conduit_lwip_folder core/init.c PATHS "${CONDUIT_LWIP_SOURCE}/src"
          "${CONDUIT_LWIP_SOURCE}" NO_DEFAULT_PATH NO_CACHE)
if(NOT conduit_lwip_folder)
    message(STATUS "No lwIP in CONDUIT_LWIP_SOURCE (${CONDUIT_LWIP_SOURCE}): "
                   "no direct stack")
    return()
endif()

add_library(conduit_lwip_headers INTERFACE)
target_include_directories(conduit_lwip_headers INTERFACE
    "${PROJECT_SOURCE_DIR}/platforms/${CONDUIT_PLATFORM}/lwip"
    "${PROJECT_SOURCE_DIR}/src")
target_include_directories(conduit_lwip_headers SYSTEM INTERFACE
                           "${conduit_lwip_folder}/include")

file(GLOB lwip_sources CONFIGURE_DEPENDS
     "${conduit_lwip_folder}/core/*.c" "${conduit_lwip_folder}/core/ipv4/*.c"
     "${conduit_lwip_folder}/core/ipv6/*.c")
add_library(conduit_lwip OBJECT ${lwip_sources}
            "${conduit_lwip_folder}/netif/ethernet.c")
target_link_libraries(conduit_lwip PRIVATE conduit_lwip_headers)
set_target_properties(conduit_lwip PROPERTIES
                      POSITION_INDEPENDENT_CODE ${conduit_shared})
# Its warnings are not ours. It reads the bytes of a frame as words and as one
# header after another, which the compiler need not know.
target_compile_options(conduit_lwip PRIVATE -w -fno-strict-aliasing)
