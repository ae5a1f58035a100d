# The library as others see it: libridgeline.a with the objects of every layer, the
# headers under include/ridgeline, and find_package(ridgeline), which gives the target
# ridgeline::ridgeline. Layers stay apart inside the project only.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(layers GLOBAL PROPERTY RIDGELINE_LAYERS)
get_property(libraries GLOBAL PROPERTY RIDGELINE_LIBRARIES)
list(REMOVE_DUPLICATES libraries)
set(objects)
foreach(layer IN LISTS layers)
  get_target_property(type ridgeline_${layer} TYPE)
  if(NOT type STREQUAL INTERFACE_LIBRARY)
    list(APPEND objects $<TARGET_OBJECTS:ridgeline_${layer}>)
  endif()
endforeach()

# Not named ridgeline: that is the program's file, and Ninja has one name space.
add_library(ridgeline_library STATIC ${objects})
set_target_properties(ridgeline_library PROPERTIES
  OUTPUT_NAME ridgeline EXPORT_NAME ridgeline LINKER_LANGUAGE CXX)
target_compile_features(ridgeline_library INTERFACE cxx_std_20)
target_include_directories(ridgeline_library INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# Only as installed: inside the project each folder's imported targets are its own.
target_link_libraries(ridgeline_library INTERFACE "$<INSTALL_INTERFACE:${libraries}>")

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ridgeline)
install(TARGETS ridgeline_library EXPORT ridgelineTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ridgelineTargets NAMESPACE ridgeline:: DESTINATION ${package_dir})
foreach(layer IN LISTS layers)
  # kernels/<isa> and kernels/impl are compiled with other flags than a user's code.
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/ridgeline/${layer}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ridgeline
    FILES_MATCHING PATTERN "*.h" REGEX "/kernels/[^/]+$" EXCLUDE)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/ridgeline/kernels/kernel_table.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ridgeline/kernels)
install(TARGETS ridgeline_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Where `ridgeline run` looks for it: beside the program.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/ DESTINATION share/ridgeline
  FILES_MATCHING PATTERN "*.gguf")

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ridgelineConfig.cmake.in
  ${CMAKE_BINARY_DIR}/ridgelineConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ridgelineConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/ridgelineConfig.cmake
  ${CMAKE_BINARY_DIR}/ridgelineConfigVersion.cmake DESTINATION ${package_dir})

# A sanitizer would have to be named by the user's build, too.
if(RIDGELINE_TESTS AND NOT RIDGELINE_SANITIZE)
  add_test(NAME package.example COMMAND ${CMAKE_COMMAND}
    -D build=${CMAKE_BINARY_DIR} -D source=${PROJECT_SOURCE_DIR} -D generator=${CMAKE_GENERATOR}
    -D compiler=${CMAKE_CXX_COMPILER} -P ${CMAKE_CURRENT_LIST_DIR}/test_package.cmake)
  set_tests_properties(package.example PROPERTIES TIMEOUT 300)
endif()
