# SPDX-License-Identifier: BSD-3-Clause
function(polycore_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra)
  if(POLYCORE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
