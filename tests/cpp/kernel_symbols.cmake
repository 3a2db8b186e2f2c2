# SPDX-License-Identifier: BSD-3-Clause
# Looks into the kernel objects, which are compiled once per instruction set:
#   - a weak symbol (an inline function or template with linkage) would be merged by the linker across instruction sets, and
#     the baseline path could end up running AVX code;
#   - a static initialiser would run such code at load time, before anything is chosen.
#
#   cmake -DNM=nm "-DOBJECTS=a.o;b.o" -P kernel_symbols.cmake
if(NOT OBJECTS)
  message(FATAL_ERROR "no kernel objects given")
endif()
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND "${NM}" -C "${object}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]* [WwVvu] [^\n]*" weak "${symbols}")
  string(REGEX MATCHALL "[^\n]*(_GLOBAL__|__static_init)[^\n]*" initialisers "${symbols}")
  string(REGEX MATCHALL "[^\n]* T [^\n]*" exported "${symbols}")
  list(LENGTH exported n_exported)
  if(weak OR initialisers OR NOT n_exported EQUAL 1)
    list(JOIN weak "\n  " weak)
    list(JOIN initialisers "\n  " initialisers)
    list(JOIN exported "\n  " exported)
    message(FATAL_ERROR
      "${object}\nweak symbols:\n  ${weak}\nstatic initialisers:\n  ${initialisers}\nexported, should be one:\n  ${exported}")
  endif()
endforeach()
