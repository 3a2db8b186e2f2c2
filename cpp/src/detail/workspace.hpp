// SPDX-License-Identifier: BSD-3-Clause
// Scratch memory of one thread, used as a stack.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "../kernels/kernel_table.hpp"

namespace polycore::detail {

/// A stack of aligned buffers. Blocks are kept for the thread's next call unless they are large.
class Workspace {
 public:
  Workspace() : arena_(cached()), owner_(!arena_.busy) {
    if (!owner_) fresh_ = std::make_unique<Arena>();
    arena().busy = true;
  }
  ~Workspace() {
    arena().release({0, 0});
    arena().trim();
    arena().busy = false;
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  struct Mark {
    std::size_t block, used;
  };
  Mark mark() { return {arena().block, arena().used}; }
  void release(Mark m) { arena().release(m); }

  void* take_bytes(std::size_t bytes) { return arena().take(bytes); }
  void* take(std::size_t elements, const kernels::RingKernels& ring) {
    return take_bytes(elements * ring.element_bytes);
  }
  void* take_zero(std::size_t elements, const kernels::RingKernels& ring) {
    void* p = take(elements, ring);
    std::memset(p, 0, elements * ring.element_bytes);  // all-zero bytes are zero in every ring
    return p;
  }
  template <class T>
  T* take_array(std::size_t n) {
    return static_cast<T*>(take_bytes(n * sizeof(T)));
  }

 private:
  static constexpr std::size_t kAlign = 64;
  static constexpr std::size_t kKeep = std::size_t{1} << 24;

  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{kAlign}); }
  };
  struct Block {
    std::unique_ptr<std::byte, Free> data;
    std::size_t size;
  };
  struct Arena {
    std::vector<Block> blocks;
    std::size_t block = 0, used = 0;
    bool busy = false;

    void* take(std::size_t bytes) {
      bytes = (bytes + kAlign - 1) / kAlign * kAlign;
      while (block < blocks.size() && blocks[block].size - used < bytes) {
        ++block;
        used = 0;
      }
      if (block == blocks.size()) {
        const std::size_t size = bytes < (std::size_t{1} << 18) ? std::size_t{1} << 18 : bytes;
        blocks.push_back(
            {std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(::operator new(size, std::align_val_t{kAlign}))),
             size});
        used = 0;
      }
      void* p = blocks[block].data.get() + used;
      used += bytes;
      return p;
    }
    void release(Mark m) {
      block = m.block;
      used = m.used;
    }
    void trim() {
      std::size_t kept = 0, n = 0;
      while (n < blocks.size() && kept + blocks[n].size <= kKeep) kept += blocks[n++].size;
      blocks.resize(n);
    }
  };
  static Arena& cached() {
    thread_local Arena arena;
    return arena;
  }
  Arena& arena() { return owner_ ? arena_ : *fresh_; }

  Arena& arena_;
  bool owner_;
  std::unique_ptr<Arena> fresh_;
};

}  // namespace polycore::detail
