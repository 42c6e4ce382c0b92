# SPDX-License-Identifier: ISC
#
# What `cmake --install` puts where: headers, libraries, the start code, the
# tools, manual pages, and the files by which CMake and pkg-config find it all.
# The pkg-config files work from wherever the prefix is moved to. A build for Xen
# has none of these, since a guest takes more than flags, but its linker script.

include(CMakePackageConfigHelpers)

set(conduit_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/conduit")

install(TARGETS ${conduit_libraries} conduit_start EXPORT conduit-targets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS conduit-assets EXPORT conduit-targets
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(TARGET conduit-command AND CONDUIT_PLATFORM STREQUAL "unix")
    install(TARGETS conduit-command EXPORT conduit-targets
            RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(DIRECTORY include/conduit TYPE INCLUDE FILES_MATCHING PATTERN "*.h")

install(EXPORT conduit-targets NAMESPACE conduit::
        DESTINATION "${conduit_cmake_dir}")
configure_package_config_file(cmake/conduit-config.cmake.in
    "${PROJECT_BINARY_DIR}/conduit-config.cmake"
    INSTALL_DESTINATION "${conduit_cmake_dir}")
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/conduit-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/conduit-config.cmake"
              "${PROJECT_BINARY_DIR}/conduit-config-version.cmake"
              cmake/ConduitApplication.cmake cmake/ConduitAssets.cmake
        DESTINATION "${conduit_cmake_dir}")

if(CONDUIT_PLATFORM STREQUAL "xen")
    install(FILES cmake/ConduitGuest.cmake
                  "${CONDUIT_GUEST_SCRIPT}"
                  "${CONDUIT_GUEST_TEMPLATES}/application.c.in"
                  "${CONDUIT_GUEST_TEMPLATES}/application.xl.in"
            DESTINATION "${conduit_cmake_dir}")
    return()
endif()

file(RELATIVE_PATH conduit_pc_to_prefix
     "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" conduit_pc_to_prefix "${conduit_pc_to_prefix}")
foreach(module IN ITEMS conduit conduit-start)
    configure_file(cmake/${module}.pc.in
                   "${PROJECT_BINARY_DIR}/${module}.pc" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/${module}.pc"
            DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()

file(GLOB conduit_man_pages CONFIGURE_DEPENDS docs/man/*.1)
install(FILES ${conduit_man_pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
