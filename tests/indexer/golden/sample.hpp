#ifndef SHELF_HPP
#define SHELF_HPP

#include <vector>

namespace shelf {
namespace detail {

using Id = unsigned long;
enum class Level { Low, High };
constexpr int kLimit = 10;

// Keeps things.
template <typename T>
class Shelf : public Base<T> {
 public:
  explicit Shelf(int limit);
  virtual ~Shelf() = default;
  const T& at(Id id) const;
  virtual int size() const = 0;
  bool operator==(const Shelf& other) const { return items_ == other.items_; }
  struct Iterator {
    int position;
  };

 private:
  std::vector<T> items_;
};

template <typename T>
const T& Shelf<T>::at(Id id) const {
  if (id >= items_.size()) {
    throw none();
  }
  auto found = items_[id];
  return found;
}

inline std::vector<int>* make(int n) {
  auto* made = new std::vector<int>();
  for (int i = 0; i < n; ++i) {
    made->push_back(i);
  }
  return made;
}

}  // namespace detail
}  // namespace shelf

SHELF_API int (*shelf_hook)(Shelf *shelf, int level);
extern "C" {
int shelf_open(const char* name);
}
#endif
