# SPDX-License-Identifier: BSD-3-Clause
# Turns C++ on, and says what to do where there is no compiler.
include(CheckLanguage)
check_language(CXX)
if(NOT CMAKE_CXX_COMPILER)
  message(FATAL_ERROR
    "polycore needs a C++20 compiler (Debian: apt-get install g++). Without one it installs as pure Python, slower:\n"
    "  pip install -C cmake.define.POLYCORE_BUILD_EXTENSION=OFF polycore")
endif()
enable_language(CXX)
