#include "ridgeline/platform/virtualization.h"

#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

#include "ridgeline/platform/system_file.h"

namespace ridgeline {
namespace {

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// Container managers name what they start in its environment (systemd's container interface).
std::string container_of_environment(std::string_view environment) {
  while (!environment.empty()) {
    const std::string_view entry = take_until(environment, '\0');
    if (entry.starts_with("container=")) return std::string(entry.substr(10));
  }
  return {};
}

bool contains_word(std::string_view words, std::string_view word) {
  while (!words.empty())
    if (take_until(words, ' ') == word) return true;
  return false;
}

std::string container(const std::string& root) {
  // Only root may read another's environment, so that the other signs are needed too.
  if (auto name = container_of_environment(read_system_file(root + "/proc/1/environ"));
      !name.empty())
    return name;
  const std::string cgroup = read_system_file(root + "/proc/self/cgroup");
  constexpr std::array<std::pair<std::string_view, const char*>, 5> kManagers{
      {{"kubepods", "kubernetes"},
       {"libpod", "podman"},
       {"/docker", "docker"},
       {"/lxc", "lxc"},
       {"machine.slice", "systemd-nspawn"}}};
  for (const auto& [part, name] : kManagers)
    if (cgroup.find(part) != std::string::npos) return name;
  if (exists(root + "/run/.containerenv")) return "podman";
  if (exists(root + "/.dockerenv")) return "docker";
  return {};
}

}  // namespace

Virtualization read_virtualization(const std::string& root) {
  Virtualization v;
  const std::string cpu = read_system_file(root + "/proc/cpuinfo");
  v.is_virtual_machine = contains_word(field_text(cpu, "flags"), "hypervisor");
  if (v.is_virtual_machine) {
    const std::string dmi = root + "/sys/class/dmi/id/";
    const std::string vendor = read_system_file(dmi + "sys_vendor"),
                      product = read_system_file(dmi + "product_name");
    v.product.assign(trimmed(vendor)).append(" ").append(trimmed(product));
    v.product = std::string(trimmed(v.product));
  }
  v.container = container(root);
  return v;
}

}  // namespace ridgeline
