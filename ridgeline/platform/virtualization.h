#pragma once

#include <string>

namespace ridgeline {

/// Whether the machine is a program of another one, and whether this process is shut up in a
/// container.
struct Virtualization {
  bool is_virtual_machine = false;
  std::string product;    ///< what the virtual machine calls itself; may be empty
  std::string container;  ///< "docker", "podman", "kubernetes", "lxc", ...; empty: none is seen
};
Virtualization read_virtualization(const std::string& root);

}  // namespace ridgeline
