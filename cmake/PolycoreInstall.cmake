# SPDX-License-Identifier: BSD-3-Clause
# Headers, library and CMake package: what find_package(polycore CONFIG) needs.
include(CMakePackageConfigHelpers)
if(DEFINED SKBUILD)
  set(CMAKE_INSTALL_LIBDIR lib)  # the same place in every wheel; some systems say lib64
endif()
include(GNUInstallDirs)
set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/polycore")

install(TARGETS polycore EXPORT polycoreTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/cpp/include/polycore"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev FILES_MATCHING PATTERN "*.hpp")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/include/polycore/version.hpp"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/polycore" COMPONENT dev)

install(EXPORT polycoreTargets NAMESPACE polycore:: DESTINATION "${_package_dir}" COMPONENT dev)
configure_package_config_file(
  cmake/polycoreConfig.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/polycoreConfig.cmake"
  INSTALL_DESTINATION "${_package_dir}" NO_SET_AND_CHECK_MACRO)
# While the version is 0.x, a new minor version may change the interface.
write_basic_package_version_file(
  "${CMAKE_CURRENT_BINARY_DIR}/polycoreConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/polycoreConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/polycoreConfigVersion.cmake"
  DESTINATION "${_package_dir}" COMPONENT dev)
