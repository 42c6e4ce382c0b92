# SPDX-License-Identifier: ISC
#
# How conduit's own files are compiled. Everything here has the scope of the
# including directory: a project that adds conduit as a subdirectory keeps its
# own flags.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion
                    -ffunction-sections -fdata-sections)
add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-Wl,--gc-sections>)
if(CONDUIT_WERROR)
    add_compile_options(-Werror)
endif()

if(CONDUIT_SANITIZE)
    list(JOIN CONDUIT_SANITIZE "," conduit_sanitizers)
    set(conduit_sanitize_options -fsanitize=${conduit_sanitizers}
        -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_compile_options(${conduit_sanitize_options})
    add_link_options(${conduit_sanitize_options})
endif()

if(CONDUIT_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
        message(FATAL_ERROR "CONDUIT_FUZZ needs clang's libFuzzer, "
                            "not ${CMAKE_C_COMPILER_ID}")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
