#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ridgeline {

/// In the order of the message. Names are compared without regard to case.
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// ASCII letters of either case are the same.
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// The first of that name; null if there is none.
const std::string* find_header(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method;   ///< as sent: "GET", "POST", ...
  std::string path;     ///< of the target, before '?', still percent-encoded
  std::string query;    ///< after '?', likewise
  HttpHeaders headers;  ///< values without the spaces around them
  std::string body;
  std::string peer;  ///< "127.0.0.1:40000", "[::1]:40000", or "unix"
  std::string id;    ///< the client's x-request-id if it is a sane one, else made
  /// What Router matched with the pattern's {names}, percent-decoded.
  HttpHeaders path_parameters;

  /// The value of the first header of that name; empty if there is none.
  std::string_view header(std::string_view name) const;
  /// What stands for {name} in the router's pattern; empty if nothing does.
  std::string_view path_parameter(std::string_view name) const;
};

/// A whole answer. The transport adds Date, Content-Length, Connection, x-request-id and
/// the CORS headers; line ends within names and values become spaces.
struct HttpResponse {
  int status = 200;
  HttpHeaders headers = {};
  std::string body = {};
  std::string content_type = "application/json";  ///< empty: none is sent
};

/// "%41" becomes "A"; false where a '%' is not followed by two hexadecimal digits, or
/// stands for a NUL.
bool percent_decode(std::string_view text, std::string& decoded);

/// "Not Found" of 404; "Unknown" of a number that has no name here.
std::string_view reason_phrase(int status);

}  // namespace ridgeline
