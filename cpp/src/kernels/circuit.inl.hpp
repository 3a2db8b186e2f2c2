// SPDX-License-Identifier: BSD-3-Clause
// Arithmetic circuits: sums of products of scattered scalars. Included by kernels.inl.cpp only.

/// Rows gates of one shape at a time, so that their sums do not wait for each other; on each lane every gate adds up in
/// the order of its terms, whatever Rows is.
template <class R, int Rows>
inline __attribute__((always_inline)) void sum_gates(const GateGroup& group, std::size_t gate, const std::uint32_t* to,
                                                     const GateTerm* terms, const typename R::T* a,
                                                     const typename R::T* b, typename R::T* c, bool accumulate,
                                                     Context k) {
  constexpr int E = kElement<R>, Passes = kPasses<R>;
  const std::size_t n = group.n_doubled + group.n_plain;
  typename R::V sum[Rows][Passes];
  for (int r = 0; r < Rows; ++r)
    for (int pass = 0; pass < Passes; ++pass) sum[r][pass] = R::zero();
  const auto add = [&](std::size_t begin, std::size_t end) __attribute__((always_inline)) {
    for (std::size_t t = begin; t < end; ++t)
      for (int r = 0; r < Rows; ++r) {
        const GateTerm term = terms[r * n + t];
        for (int pass = 0; pass < Passes; ++pass)
          sum[r][pass] = R::fma(R::load(a + std::size_t{term.first} * E + pass * R::W),
                                R::load(b + std::size_t{term.second} * E + pass * R::W), sum[r][pass], k);
      }
  };
  add(0, group.n_doubled);
  if (group.n_doubled > 0)
    for (int r = 0; r < Rows; ++r)
      for (int pass = 0; pass < Passes; ++pass) sum[r][pass] = R::add(sum[r][pass], sum[r][pass], k);
  add(group.n_doubled, n);
  for (int r = 0; r < Rows; ++r)
    for (int pass = 0; pass < Passes; ++pass) {
      typename R::T* result = c + std::size_t{to[gate + r]} * E + pass * R::W;
      R::store(result, accumulate ? R::add(R::load(result), sum[r][pass], k) : sum[r][pass]);
    }
}

/// In GF(p) the sum of products is kept below a multiple of p, and reduced once.
template <>
inline __attribute__((always_inline)) void sum_gates<ModularRing, 1>(const GateGroup& group, std::size_t gate,
                                                                     const std::uint32_t* to, const GateTerm* terms,
                                                                     const std::uint64_t* a, const std::uint64_t* b,
                                                                     std::uint64_t* c, bool accumulate, Context k) {
  using Wide = unsigned __int128;
  const Wide limit = static_cast<Wide>(k->p) << k->bits;  // above p^2, and at most 2^(2 bits)
  Wide sum = 0;
  const auto fold = [&](Wide x) __attribute__((always_inline)) { return x >= limit ? x - limit : x; };
  for (std::size_t t = 0; t < group.n_doubled; ++t)
    sum = fold(sum + static_cast<Wide>(a[terms[t].first]) * b[terms[t].second]);
  sum = fold(sum + sum);
  for (std::size_t t = group.n_doubled; t < group.n_doubled + group.n_plain; ++t)
    sum = fold(sum + static_cast<Wide>(a[terms[t].first]) * b[terms[t].second]);
  std::uint64_t* result = c + to[gate];
  if (accumulate) sum = fold(sum + *result);
  *result = ModularRing::reduce(sum, k);
}

template <class R>
void evaluate_gates(const GateGroup* groups, std::size_t n_groups, const std::uint32_t* to, const GateTerm* terms,
                    const void* a, const void* b, void* c, bool accumulate, Context k) {
  using T = typename R::T;
  constexpr int Rows = R::is_modular || kPasses<R> >= 4 ? 1 : 4 / kPasses<R>;
  for (std::size_t g = 0; g < n_groups; ++g) {
    const GateGroup group = groups[g];
    const GateTerm* t = terms + group.first_term;
    const std::size_t n = group.n_doubled + group.n_plain;
    const auto run = [&](std::size_t gate, auto rows) __attribute__((always_inline)) {
      sum_gates<R, rows()>(group, group.first + gate, to, t + gate * n, static_cast<const T*>(a),
                           static_cast<const T*>(b), static_cast<T*>(c), accumulate, k);
    };
    std::size_t gate = 0;
    for (; gate + Rows <= group.count; gate += Rows) run(gate, Count<Rows>{});
    for (; gate < group.count; ++gate) run(gate, Count<1>{});
  }
}
