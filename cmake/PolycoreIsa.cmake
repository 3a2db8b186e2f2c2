# SPDX-License-Identifier: BSD-3-Clause
# Compiles the kernels once more, for one instruction set, into their own namespace.
#
#   polycore_add_isa(name [FLAGS ...] [DEFINES ...])
function(polycore_add_isa name)
  cmake_parse_arguments(ISA "" "" "FLAGS;DEFINES" ${ARGN})
  set(source "${CMAKE_CURRENT_BINARY_DIR}/kernels_${name}.cpp")
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"kernels/kernels.inl.cpp\"\n")
  target_sources(polycore PRIVATE "${source}")
  # Kernels are optimised in every build type: a debug build of them tests nothing that ships. They use extensions (128-bit
  # integers, vectors), and their indices are a mix of constants (int) and sizes, where -Wsign-conversion says nothing worth
  # a cast in every line. With -g, variable locations of code this unrolled take longer than the code.
  set(options ${ISA_FLAGS} -O3 $<$<CONFIG:Debug,RelWithDebInfo>:-g1> -Wno-pedantic -Wno-sign-conversion)
  if(POLYCORE_SANITIZE)
    # The checks left out stand at every load and would take minutes and gigabytes to compile here.
    list(APPEND options -O1 -fno-sanitize=null,alignment,object-size,pointer-overflow)
  endif()
  set_source_files_properties("${source}" PROPERTIES
    COMPILE_OPTIONS "${options}"
    COMPILE_DEFINITIONS "POLYCORE_ISA=${name};POLYCORE_ISA_NAME=\"${name}\";POLYCORE_ISA_ACCESSOR=${name}_table;${ISA_DEFINES}")
  string(TOUPPER "${name}" upper)
  target_compile_definitions(polycore PRIVATE POLYCORE_HAVE_${upper})
endfunction()
