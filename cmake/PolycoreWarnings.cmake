# SPDX-License-Identifier: BSD-3-Clause
function(polycore_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wold-style-cast -Wnon-virtual-dtor)
  if(POLYCORE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# Everything that links the target is linked with the sanitizers too.
function(polycore_sanitize target)
  if(POLYCORE_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=${POLYCORE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${POLYCORE_SANITIZE})
  endif()
endfunction()
