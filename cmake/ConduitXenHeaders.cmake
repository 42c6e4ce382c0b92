# SPDX-License-Identifier: ISC
#
# conduit_xen_headers: Xen's public headers (package libxen-dev), in a folder
# that holds nothing else of the system's, and the version of Xen's interface
# that they are asked for. No target when the headers are not there.

include_guard(GLOBAL)

find_path(CONDUIT_XEN_INCLUDE_DIR xen/xen.h DOC "folder of Xen's xen/xen.h")
mark_as_advanced(CONDUIT_XEN_INCLUDE_DIR)
if(CONDUIT_XEN_INCLUDE_DIR AND
   CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(folder "${PROJECT_BINARY_DIR}/xen-headers")
    file(MAKE_DIRECTORY "${folder}")
    file(CREATE_LINK "${CONDUIT_XEN_INCLUDE_DIR}/xen" "${folder}/xen" SYMBOLIC)
    file(STRINGS "${CONDUIT_XEN_INCLUDE_DIR}/xen/xen-compat.h" version
         REGEX "define __XEN_LATEST_INTERFACE_VERSION__")
    string(REGEX MATCH "0x[0-9a-f]+" version "${version}")
    add_library(conduit_xen_headers INTERFACE)
    target_include_directories(conduit_xen_headers SYSTEM INTERFACE
                               "${folder}")
    target_compile_definitions(conduit_xen_headers INTERFACE
                               __XEN_INTERFACE_VERSION__=${version})
endif()
