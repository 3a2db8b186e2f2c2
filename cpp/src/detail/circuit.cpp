// SPDX-License-Identifier: BSD-3-Clause
#include "circuit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "polycore/parallel.hpp"
#include "program_plan.hpp"

namespace polycore::detail {

namespace {

using kernels::GateGroup;
using kernels::GateTerm;
using Index = std::uint32_t;
using List = std::span<const Index>;

/// Different lists of integers, numbered in the order of their first appearance.
class Lists {
 public:
  /// The number of a list, which is added if it is new.
  Index number(List list) {
    if (2 * size() >= table_.size()) grow();
    const std::uint64_t h = hash(list);
    for (std::size_t slot = h & (table_.size() - 1);; slot = (slot + 1) & (table_.size() - 1)) {
      if (table_[slot] == kFree) {
        table_[slot] = static_cast<Index>(size());
        hashes_.push_back(h);
        items_.insert(items_.end(), list.begin(), list.end());
        ends_.push_back(items_.size());
        return table_[slot];
      }
      if (hashes_[table_[slot]] == h && std::ranges::equal((*this)[table_[slot]], list)) return table_[slot];
    }
  }
  std::size_t size() const { return hashes_.size(); }
  List operator[](std::size_t k) const { return List(items_).subspan(ends_[k], ends_[k + 1] - ends_[k]); }

 private:
  static constexpr Index kFree = ~Index{0};

  static std::uint64_t hash(List list) {
    std::uint64_t h = list.size();
    for (const Index item : list) {
      h = (h ^ item) * 0x9e3779b97f4a7c15u;
      h ^= h >> 29;
    }
    return h;
  }
  void grow() {
    table_.assign(std::max<std::size_t>(16, 2 * table_.size()), kFree);
    for (std::size_t k = 0; k < size(); ++k) {
      std::size_t slot = hashes_[k] & (table_.size() - 1);
      while (table_[slot] != kFree) slot = (slot + 1) & (table_.size() - 1);
      table_[slot] = static_cast<Index>(k);
    }
  }

  std::vector<Index> items_, table_;
  std::vector<std::size_t> ends_{0};
  std::vector<std::uint64_t> hashes_;
};

/// Monomials of one degree as words: their variables in ascending order, each as often as its exponent says. 0 is the
/// homogenising variable. In lexicographic order words are in the order of the basis.
struct Words {
  std::size_t length = 0;  // letters of a word
  std::size_t count = 0;
  std::vector<Index> letters;

  std::size_t size() const { return count; }
  List operator[](std::size_t k) const { return List(letters).subspan(k * length, length); }
};

/// The words of `lists`, all of one length, in lexicographic order, and where each list went.
std::pair<Words, std::vector<Index>> sorted_words(const Lists& lists, std::size_t length) {
  std::vector<Index> order(lists.size()), place(lists.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::sort(order, [&](Index a, Index b) { return std::ranges::lexicographical_compare(lists[a], lists[b]); });
  Words words{length, lists.size(), {}};
  words.letters.reserve(length * lists.size());
  for (Index k = 0; k < order.size(); ++k) {
    place[order[k]] = k;
    words.letters.insert(words.letters.end(), lists[order[k]].begin(), lists[order[k]].end());
  }
  return {std::move(words), std::move(place)};
}

/// A term of the gate that writes scalar `to`.
struct Entry {
  Index to;
  bool doubled;
  GateTerm term;
};

/// The gates that write these scalars, whose levels are above those of all gates they read.
Gates arrange(std::vector<Index> scalars, const std::vector<Index>& level, const std::vector<Entry>& entries) {
  std::vector<Index> n_doubled(level.size()), n_plain(level.size());
  for (const Entry& entry : entries) ++(entry.doubled ? n_doubled : n_plain)[entry.to];
  const auto shape = [&](Index scalar) { return std::tuple(level[scalar], n_doubled[scalar], n_plain[scalar]); };
  std::ranges::stable_sort(scalars, {}, shape);
  Gates gates;
  std::vector<std::size_t> doubled(level.size()), plain(level.size());  // where the next such term goes
  std::size_t n_terms = 0;
  for (Index k = 0; k < scalars.size(); ++k) {
    const Index scalar = scalars[k];
    if (k == 0 || shape(scalar) != shape(scalars[k - 1]))
      gates.groups.push_back({k, 0, n_doubled[scalar], n_plain[scalar], n_terms});
    ++gates.groups.back().count;
    doubled[scalar] = n_terms;
    plain[scalar] = n_terms + n_doubled[scalar];
    n_terms += n_doubled[scalar] + n_plain[scalar];
  }
  gates.terms.resize(n_terms);
  for (const Entry& entry : entries) gates.terms[(entry.doubled ? doubled : plain)[entry.to]++] = entry.term;
  gates.to = std::move(scalars);
  return gates;
}

using Terms = std::span<const GateTerm>;

/// Calls body(scalar, doubled terms, plain terms) for all gates, the last one first if `backwards`.
template <class Body>
void for_gates(const Gates& gates, bool backwards, const Body& body) {
  const std::size_t n_groups = gates.groups.size();
  for (std::size_t g = 0; g < n_groups; ++g) {
    const GateGroup& group = gates.groups[backwards ? n_groups - 1 - g : g];
    const std::size_t n = group.n_doubled + group.n_plain;
    for (std::size_t k = 0; k < group.count; ++k) {
      const Terms terms = Terms(gates.terms).subspan(group.first_term + k * n, n);
      body(gates.to[group.first + k], terms.first(group.n_doubled), terms.subspan(group.n_doubled));
    }
  }
}

/// More work than the caller allows.
struct TooMuch {};

/// A polynomial but for the names of its variables: letter k of its words is the k-th variable of the unit, 0 the
/// homogenising one.
struct Polynomial {
  Words words;
  std::vector<Index> scalars;
  bool full = false;  // every word in letters that the program has
};

/// A value of the program: a polynomial in the variables of a list. Units of one value have the same coefficients.
struct Unit {
  Index polynomial, variables, value;
  bool operator==(const Unit&) const = default;
};
using Product = std::pair<Unit, Unit>;

/// Runs a program over polynomials whose coefficients are gates. Sums of products of equal operands, up to an
/// increasing renaming of the variables, are made once; so are equal gates.
class Builder {
 public:
  /// Without `gates` polynomials are only the monomials they have, and so few; what gates would take is counted.
  Builder(const ProgramPlan& plan, bool gates, std::size_t max_terms)
      : plan_(plan), with_gates_(gates), max_terms_(max_terms), scalars_(n_known()) {
    lists_.number({});  // list 0: no variables
    one_ = scalar_unit(first_constant());
  }

  /// The values of the last slot.
  std::vector<Unit> run() {
    std::vector<std::vector<Unit>> slots(plan_.nodes.size() + 1);
    for (Index j = 1; j <= static_cast<Index>(plan_.n_inputs); ++j) slots[0].push_back(input(j));
    for (std::size_t k = 0; k < plan_.nodes.size(); ++k) {
      const Node& node = plan_.nodes[k];
      if (!node.used) continue;
      const auto& z = slots[static_cast<std::size_t>(node.input)];
      auto& y = slots[k + 1];
      switch (node.kind) {
        case Kind::kAffine:
          affine(node, std::get<Affine>(plan_.instructions[k]).windows, z, y);
          break;
        case Kind::kActivation:
          for (const Unit& unit : z) y.push_back(activation(node, unit));
          break;
        case Kind::kSelect:
          for (const std::size_t i : node.indices) y.push_back(z[i]);
          break;
        case Kind::kAdd:
          for (std::size_t i = 0; i < z.size(); ++i) {
            std::vector<Product> terms;
            for (const int slot : node.inputs) terms.emplace_back(one_, slots[static_cast<std::size_t>(slot)][i]);
            y.push_back(sum(terms, node.degree_out));
          }
          break;
        case Kind::kMatMul:
          matmul(node, z, slots[static_cast<std::size_t>(node.inputs[1])], y);
          break;
      }
    }
    return std::move(slots.back());
  }

  /// Products of coefficients that a run with gates looks at.
  std::size_t n_products() const { return n_products_; }

  /// The monomials of these values, and which coefficient is which scalar.
  std::pair<MonomialSupport, std::vector<Coefficient>> collect(const std::vector<Unit>& outputs) const {
    Lists words;
    std::vector<Index> word;
    std::vector<Coefficient> coefficients;
    for (Index o = 0; o < outputs.size(); ++o) {
      const Polynomial& p = polynomials_[outputs[o].polynomial];
      for (std::size_t k = 0; k < p.words.size(); ++k) {
        word.assign(p.words[k].begin(), p.words[k].end());
        for (Index& letter : word)
          if (letter != 0) letter = lists_[outputs[o].variables][letter - 1];
        coefficients.push_back({o, words.number(word), p.scalars[k]});
        poll(words.size() * p.words.length);
      }
    }
    auto [sorted, place] = sorted_words(words, static_cast<std::size_t>(plan_.degree()));
    for (Coefficient& c : coefficients) c.monomial = place[c.monomial];
    return {MonomialSupport(plan_.n_inputs, plan_.degree(), plan_.homogeneous, std::move(sorted.letters), sorted.count),
            std::move(coefficients)};
  }

  /// The gates that these coefficients depend on, in order; scalars are renumbered accordingly.
  void finish(Circuit& circuit) const {
    const Index first_gate = static_cast<Index>(n_known());
    std::vector<Index> level(first_gate + gates_.size());
    for (const Coefficient& c : circuit.coefficients) level[c.scalar] = 1;
    for (std::size_t k = gates_.size(); k-- > 0;)
      if (level[first_gate + k] != 0)
        for (const Index scalar : gates_[k].subspan(1)) level[scalar] = 1;
    std::vector<Index> number(level.size());
    std::iota(number.begin(), number.begin() + first_constant(), Index{0});
    circuit.n_params = plan_.n_params;
    for (Index c = first_constant(); c < first_gate; ++c)
      if (level[c] != 0) {
        number[c] = static_cast<Index>(circuit.first_gate());
        circuit.constants.push_back(c == first_constant() ? Circuit::kOne : c - first_constant() - 1);
      }
    std::vector<Index> used;
    std::vector<Entry> entries;
    std::fill(level.begin(), level.begin() + first_gate, Index{0});
    for (Index k = 0; k < gates_.size(); ++k) {
      const Index to = first_gate + k;
      if (level[to] == 0) continue;
      const List gate = gates_[k];
      for (std::size_t i = 1; i < gate.size(); i += 2) {
        entries.push_back({to, i <= 2 * gate[0], {gate[i], gate[i + 1]}});
        level[to] = std::max({level[to], level[gate[i]] + 1, level[gate[i + 1]] + 1});
      }
      used.push_back(to);
    }
    circuit.forward = arrange(std::move(used), level, entries);
    circuit.n_scalars = circuit.first_gate();
    for (Index& to : circuit.forward.to) {
      number[to] = static_cast<Index>(circuit.n_scalars++);
      to = number[to];
    }
    for (GateTerm& term : circuit.forward.terms) term = {number[term.first], number[term.second]};
    for (Coefficient& c : circuit.coefficients) c.scalar = number[c.scalar];
  }

 private:
  static constexpr std::size_t kMaxSearched = std::size_t{1} << 22;  // words looked at, with all or without gates
  static constexpr std::size_t kMaxLetters = std::size_t{1} << 26;   // in one polynomial
  static constexpr std::size_t kPolled = std::size_t{1} << 13;
  static constexpr Index kSame = ~Index{0};  // the variables of an operand are those of the result

  Index first_constant() const { return static_cast<Index>(plan_.n_params); }
  /// Parameters, 1, and the activation coefficients.
  std::size_t n_known() const { return with_gates_ ? plan_.n_params + 1 + plan_.constants.size() : 1; }

  Index add(Polynomial p) {
    polynomials_.push_back(std::move(p));
    return static_cast<Index>(polynomials_.size() - 1);
  }
  /// A scalar times the word made of these letters.
  Index add_monomial(std::vector<Index> letters, Index scalar, bool full) {
    Polynomial p;
    p.words.length = letters.size();
    p.words.count = 1;
    p.words.letters = std::move(letters);
    p.scalars.assign(1, scalar);
    p.full = full;
    return add(std::move(p));
  }
  Unit scalar_unit(std::size_t scalar) {
    auto& known = scalars_[with_gates_ ? scalar : 0];
    if (!known) known = add_monomial({}, static_cast<Index>(scalar), true);
    const std::array<Index, 2> name{static_cast<Index>(scalar), static_cast<Index>(scalar >> 32)};
    return {*known, 0, with_gates_ ? *known : values_.number(name)};
  }
  Unit input(Index j) {
    if (!variable_) variable_ = add_monomial({1}, first_constant(), plan_.homogeneous);
    return {*variable_, lists_.number(std::span(&j, 1)), with_gates_ ? *variable_ : values_.number({})};
  }

  void affine(const Node& node, const std::vector<std::vector<int>>& windows, const std::vector<Unit>& z,
              std::vector<Unit>& y) {
    for (std::size_t w = 0; w < node.n_windows; ++w)
      for (std::size_t o = 0; o < node.window_out; ++o) {
        std::vector<Product> terms;
        for (std::size_t j = 0; j < node.window_size; ++j)
          terms.emplace_back(scalar_unit(node.w_offset + o * node.window_size + j),
                             z[windows.empty() ? j : static_cast<std::size_t>(windows[w][j])]);
        if (node.bias) terms.emplace_back(scalar_unit(node.b_offset + o), one_);
        y.push_back(sum(terms, node.degree_out));
      }
  }
  /// The powers by the rule of the dense way.
  Unit activation(const Node& node, const Unit& z) {
    std::map<int, Unit> powers{{0, one_}, {1, z}};
    const auto power = [&](const auto& self, int k) -> Unit {
      const auto known = powers.find(k);
      if (known != powers.end()) return known->second;
      const Unit left = self(self, k % 2 == 0 ? k / 2 : 1), right = self(self, k % 2 == 0 ? k / 2 : k - 1);
      return powers[k] = sum({{{left, right}}}, k * node.degree_in);
    };
    std::vector<Product> terms;
    for (int k = 0; k <= node.power; ++k) {
      const std::size_t c = node.first_constant + static_cast<std::size_t>(k);
      if (plan_.constants[c] == 0) continue;
      terms.emplace_back(plan_.constants[c] == 1 ? one_ : scalar_unit(first_constant() + 1 + c), power(power, k));
    }
    return sum(terms, node.degree_out);
  }
  void matmul(const Node& node, const std::vector<Unit>& left, const std::vector<Unit>& right, std::vector<Unit>& y) {
    for (std::size_t i = 0; i < node.rows; ++i)
      for (std::size_t j = 0; j < node.cols; ++j) {
        std::vector<Product> terms;
        for (std::size_t k = 0; k < node.inner; ++k)
          terms.emplace_back(left[i * node.left_row + k * node.left_column],
                             right[k * node.right_row + j * node.right_column]);
        y.push_back(sum(terms, node.degree_out));
      }
  }

  /// The sum of the products as a polynomial of this degree, lower ones times powers of the homogenising variable.
  Unit sum(const std::vector<Product>& products, int degree) {
    const Index variables = union_of(products);
    std::vector<Index> key{static_cast<Index>(degree)};
    for (const auto& [a, b] : products)
      for (const Unit& unit : {a, b}) {
        key.push_back(unit.polynomial);
        key.push_back(unit.variables == variables ? kSame : embedding(unit.variables, variables));
      }
    const Index result = sums_.number(key);
    if (result == sum_results_.size()) sum_results_.push_back(add(expand(products, variables, degree)));
    const Index polynomial = sum_results_[result];
    return {polynomial, variables, with_gates_ ? polynomial : value_of(products, std::move(key))};
  }
  /// The value of a sum of products, given what its polynomial is known by; work is counted when it is new.
  Index value_of(const std::vector<Product>& products, std::vector<Index> key) {
    std::size_t k = 1, work = 0;
    for (const auto& [a, b] : products) {
      key[k] = a.value;
      key[k + 2] = b.value;
      k += 4;
      const std::size_t n = polynomials_[a.polynomial].words.size();
      work += a == b ? n * (n + 1) / 2 : n * polynomials_[b.polynomial].words.size();
    }
    const std::size_t before = values_.size();
    const Index value = values_.number(key);
    if (values_.size() != before) n_products_ += work;
    return value;
  }
  Index union_of(const std::vector<Product>& products) {
    std::vector<Index> all;
    Index last = 0;
    for (const auto& [a, b] : products)
      for (const Unit& unit : {a, b}) {
        if (unit.variables == last) continue;
        last = unit.variables;
        all.insert(all.end(), lists_[last].begin(), lists_[last].end());
      }
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return lists_.number(all);
  }
  /// Where the variables of one list are in another, counted from 1, as a list.
  Index embedding(Index from, Index in) {
    std::vector<Index> places;
    for (const Index variable : lists_[from])
      places.push_back(static_cast<Index>(std::ranges::lower_bound(lists_[in], variable) - lists_[in].begin()) + 1);
    return lists_.number(places);
  }
  /// The words of a unit in the letters of the result.
  Words renamed(const Unit& unit, Index variables) {
    Words words = polynomials_[unit.polynomial].words;
    if (unit.variables == variables) return words;
    const Index places = embedding(unit.variables, variables);
    for (Index& letter : words.letters)
      if (letter != 0) letter = lists_[places][letter - 1];
    return words;
  }

  Polynomial expand(const std::vector<Product>& products, Index variables, int degree) {
    struct Term {
      Index word, first, second, times;
    };
    const auto length = static_cast<std::size_t>(degree);
    if (!with_gates_ && fills(products, variables, length)) return full_polynomial(variables, length);
    Lists words;
    std::vector<Index> word(length);
    std::vector<Term> terms;
    for (const auto& [left, right] : products) {
      const Words a = renamed(left, variables), b = renamed(right, variables);
      const auto &a_scalars = polynomials_[left.polynomial].scalars,
                 &b_scalars = polynomials_[right.polynomial].scalars;
      const bool square = left == right;
      const std::size_t padding = length - a.length - b.length;
      std::fill_n(word.begin(), padding, Index{0});
      for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = square ? i : 0; j < b.size(); ++j) {
          std::ranges::merge(a[i], b[j], word.begin() + static_cast<std::ptrdiff_t>(padding));
          const Index number = words.number(word);
          if (with_gates_) terms.push_back({number, a_scalars[i], b_scalars[j], square && i != j ? 2u : 1u});
          poll(words.size() * length);
        }
    }
    auto [sorted, place] = sorted_words(words, length);
    Polynomial result{std::move(sorted), std::vector<Index>(words.size())};
    if (!with_gates_) {
      result.full = static_cast<double>(result.words.size()) == count_words(variables, length);
      return result;
    }
    for (Term& term : terms) {
      term.word = place[term.word];
      if (term.first > term.second) std::swap(term.first, term.second);
    }
    std::ranges::sort(terms, {}, [](const Term& t) { return std::tuple(t.word, t.first, t.second); });
    for (auto begin = terms.begin(); begin != terms.end();) {
      std::vector<Index> doubled, plain;
      auto end = begin;
      while (end != terms.end() && end->word == begin->word) {
        Index times = 0;
        const Term term = *end;
        for (; end != terms.end() &&
               std::tie(end->word, end->first, end->second) == std::tie(term.word, term.first, term.second);
             ++end)
          times += end->times;
        for (Index k = 0; k < times / 2; ++k) doubled.insert(doubled.end(), {term.first, term.second});
        if (times % 2 != 0) plain.insert(plain.end(), {term.first, term.second});
      }
      result.scalars[begin->word] = gate(doubled, plain);
      begin = end;
    }
    return result;
  }

  // Where all words occur, as in dense layers, their products need not be made one by one.
  Index first_letter() const { return plan_.homogeneous ? 1 : 0; }
  double count_words(Index variables, std::size_t length) const {
    double count = 1;
    const auto n_letters = static_cast<double>(lists_[variables].size() + 1 - first_letter());
    for (std::size_t k = 0; k < length; ++k) count *= (n_letters + static_cast<double>(k)) / static_cast<double>(k + 1);
    return std::round(count);
  }
  bool fills(const std::vector<Product>& products, Index variables, std::size_t length) const {
    const auto full = [&](const Unit& unit) {
      const Polynomial& p = polynomials_[unit.polynomial];
      return p.full && (unit.variables == variables || p.words.length == 0);
    };
    return std::ranges::any_of(products, [&](const Product& product) {
      const std::size_t degree =
          polynomials_[product.first.polynomial].words.length + polynomials_[product.second.polynomial].words.length;
      return full(product.first) && full(product.second) && degree == length;
    });
  }
  Polynomial full_polynomial(Index variables, std::size_t length) const {
    const double count = count_words(variables, length);
    if (count * static_cast<double>(length + 1) > kMaxLetters) throw TooMuch{};
    const auto last = static_cast<Index>(lists_[variables].size());
    Words words{length, static_cast<std::size_t>(count), {}};
    words.letters.reserve(words.count * length);
    std::vector<Index> word(length, first_letter());
    for (std::size_t k = 0; k < words.count; ++k) {
      words.letters.insert(words.letters.end(), word.begin(), word.end());
      std::size_t place = length;  // the successor raises the last letter that can be raised, and all after it
      while (place > 0 && word[place - 1] == last) --place;
      if (place > 0) std::fill(word.begin() + static_cast<std::ptrdiff_t>(place) - 1, word.end(), word[place - 1] + 1);
      poll(words.letters.size());
    }
    std::vector<Index> scalars(words.count);
    return {std::move(words), std::move(scalars), true};
  }

  Index gate(const std::vector<Index>& doubled, const std::vector<Index>& plain) {
    const Index one = first_constant();
    if (doubled.empty() && plain.size() == 2 && (plain[0] == one || plain[1] == one))
      return plain[0] == one ? plain[1] : plain[0];
    std::vector<Index> list{static_cast<Index>(doubled.size() / 2)};
    list.insert(list.end(), doubled.begin(), doubled.end());
    list.insert(list.end(), plain.begin(), plain.end());
    const std::size_t before = gates_.size();
    const Index number = gates_.number(list);
    if (gates_.size() != before) n_terms_ += list.size() / 2;
    if (n_terms_ > max_terms_) throw TooMuch{};
    return static_cast<Index>(n_known()) + number;
  }

  /// Called for every word looked at, with the letters of those found so far.
  void poll(std::size_t n_letters) const {
    ++n_searched_;
    if (n_searched_ > kMaxSearched || n_letters > kMaxLetters) throw TooMuch{};
    if (n_searched_ % kPolled == 0) poll_interrupt();
  }

  const ProgramPlan& plan_;
  bool with_gates_;
  std::size_t max_terms_, n_terms_ = 0;
  mutable std::size_t n_searched_ = 0;
  std::vector<Polynomial> polynomials_;
  std::vector<std::optional<Index>> scalars_;  // polynomials of known scalars
  std::optional<Index> variable_;
  Unit one_;
  Lists lists_;   // of variables
  Lists values_;  // by what they are made of: a scalar, nothing (an input), or a sum of products
  std::size_t n_products_ = 0;
  Lists sums_;
  std::vector<Index> sum_results_;
  Lists gates_;  // number of doubled terms, then the terms
};

}  // namespace

namespace {

/// Multiply-adds of an expansion on dense forms: each coefficient of one factor with each of the other.
double dense_work(const ProgramPlan& plan) {
  const auto forms = [&](int degree) {  // C(d - 1 + degree, degree)
    double count = 1;
    for (int k = 1; k <= degree; ++k) count *= (plan.d() - 1.0 + k) / k;
    return count;
  };
  double work = 0;
  for (const Node& node : plan.nodes) {
    if (!node.used) continue;
    const double units = node.units_out, in = forms(node.degree_in);
    if (node.kind == Kind::kAffine) {
      work += units * static_cast<double>(node.window_size) * (node.input == 0 ? 1 : in);
    } else if (node.kind == Kind::kMatMul) {
      const int degree = node.degree_out - node.degree_in;
      work += units * static_cast<double>(node.inner) * in * forms(degree);
    } else if (node.kind == Kind::kActivation) {
      for (int k = 2; k <= node.power; k *= 2)
        work += units * forms(k / 2 * node.degree_in) * forms(k / 2 * node.degree_in) / 2;
    }
    work += units * forms(node.degree_out);
  }
  return work;
}

/// Whether every variable occurs in every value from the first map on, so that dense forms have no gaps to speak of.
bool is_fully_connected(const ProgramPlan& plan) {
  for (std::size_t k = 0; k < plan.nodes.size(); ++k) {
    const Node& node = plan.nodes[k];
    const auto* affine = std::get_if<Affine>(&plan.instructions[k]);
    if (node.input == 0 ? affine == nullptr || !affine->windows.empty()
                        : node.kind != Kind::kAffine && node.kind != Kind::kActivation)
      return false;
  }
  return true;
}

// Measured in lanes on a Zen 4 core: a product of scattered scalars takes as long as two to three in dense forms, whose
// kernels hold four coefficients in registers (networks with a convolution before dense layers, where both are close).
constexpr double kDensePerTerm = 2.5;
constexpr std::size_t kMaxTerms = std::size_t{1} << 23;

std::unique_ptr<const Circuit> choose_circuit(const ProgramPlan& plan) {
  if (plan.method == Method::forms || (plan.method == Method::automatic && is_fully_connected(plan))) return nullptr;
  const double gain = plan.method == Method::circuit ? kMaxTerms : dense_work(plan) / kDensePerTerm;
  auto circuit = make_circuit(plan, static_cast<std::size_t>(std::min<double>(kMaxTerms, gain)));
  if (circuit == nullptr && plan.method == Method::circuit)
    throw std::overflow_error("the circuit of the coefficients would have more than " + std::to_string(kMaxTerms) +
                              " products");
  return circuit;
}

}  // namespace

std::unique_ptr<const Circuit> make_circuit(const ProgramPlan& plan, std::size_t max_terms) {
  constexpr std::size_t kMaxScalars = std::size_t{1} << 31;
  if (plan.n_params + plan.constants.size() + max_terms > kMaxScalars) return nullptr;
  // Equal gates are found by making them: there may be fewer than products looked at, but seldom by more than this.
  constexpr std::size_t kShared = 2;
  try {
    Builder preview(plan, false, 0);
    preview.run();
    if (preview.n_products() / kShared > max_terms) return nullptr;
    Builder builder(plan, true, max_terms);
    auto [support, coefficients] = builder.collect(builder.run());
    auto circuit = std::make_unique<Circuit>(std::move(support));
    circuit->coefficients = std::move(coefficients);
    builder.finish(*circuit);
    return circuit;
  } catch (const TooMuch&) {
    return nullptr;
  }
}

MonomialSupport find_support(const ProgramPlan& plan) {
  try {
    Builder builder(plan, false, 0);
    return builder.collect(builder.run()).first;
  } catch (const TooMuch&) {
    throw std::overflow_error("the monomials that can occur are too many to be listed: more than 2^22 candidates");
  }
}

const Circuit* ProgramPlan::circuit() const {
  return circuit_.get([this] { return choose_circuit(*this); }).get();
}

const MonomialSupport& ProgramPlan::support() const {
  if (const Circuit* chosen = circuit()) return chosen->support;
  return support_.get([this] { return find_support(*this); });
}

const std::vector<std::uint64_t>& ProgramPlan::support_positions() const {
  return support_positions_.get([this] { return support().positions(); });
}

std::vector<std::size_t> Circuit::make_offsets(Monomials on) const {
  const bool whole = on == Monomials::basis;
  const auto positions = whole ? support.positions() : std::vector<std::uint64_t>{};
  const auto row =
      whole ? MonomialBasis(support.n_vars(), support.degree(), support.homogeneous()).size() : support.size();
  std::vector<std::size_t> offsets;
  offsets.reserve(coefficients.size());
  for (const Coefficient& c : coefficients)
    offsets.push_back(c.output * row + (whole ? positions[c.monomial] : c.monomial));
  return offsets;
}

// d(ij) = di j + dj i
Gates Circuit::make_tangent() const {
  std::vector<Index> level(n_scalars);
  std::vector<Entry> entries;
  for_gates(forward, false, [&](Index to, Terms doubled, Terms plain) {
    const auto differentiate = [&](Index scalar, Index other, bool twice) {
      if (scalar >= n_params && scalar < first_gate()) return;  // a constant
      entries.push_back({to, twice, {scalar, other}});
      level[to] = std::max(level[to], level[scalar] + 1);
    };
    for (const auto& [first, second] : doubled) {
      differentiate(first, second, true);
      differentiate(second, first, true);
    }
    for (const auto& [first, second] : plain) {
      differentiate(first, second, first == second);
      if (first != second) differentiate(second, first, false);
    }
  });
  return arrange(forward.to, level, entries);
}

// Every scalar collects from the gates that read it.
Gates Circuit::make_reverse() const {
  std::vector<Index> level(n_scalars);
  std::vector<Entry> entries;
  for_gates(forward, true, [&](Index from, Terms doubled, Terms plain) {  // the readers of a scalar before its own gate
    const auto collect = [&](Index scalar, Index other, bool twice) {
      if (scalar >= n_params && scalar < first_gate()) return;  // a constant
      entries.push_back({scalar, twice, {from, other}});
      level[scalar] = std::max(level[scalar], level[from] + 1);
    };
    for (const auto& [first, second] : doubled) {
      collect(first, second, true);
      collect(second, first, true);
    }
    for (const auto& [first, second] : plain) {
      collect(first, second, first == second);
      if (first != second) collect(second, first, false);
    }
  });
  std::vector<Index> read;
  for (Index scalar = 0; scalar < n_scalars; ++scalar)
    if (level[scalar] != 0) read.push_back(scalar);
  return arrange(std::move(read), level, entries);
}

}  // namespace polycore::detail
