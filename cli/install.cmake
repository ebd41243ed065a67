# What `cmake --install` puts where: the program with its manual and completions, and the library that it is made of, for
# programs that find it by find_package(retort) or pkg-config. `cpack -G DEB` makes a Debian package of the same.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(MADE ${CMAKE_BINARY_DIR}/made)
file(GLOB PAGES CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/cli cli/cmd_*.c)         # a command a file
list(TRANSFORM PAGES REPLACE "^cmd_(.*)\\.c$" "\\1")
set(OUTPUTS ${MADE}/man/retort.1 ${MADE}/retort.bash ${MADE}/_retort ${MADE}/retort.fish)
set(COMMANDS COMMAND retort help man > ${MADE}/man/retort.1
             COMMAND retort help completion bash > ${MADE}/retort.bash
             COMMAND retort help completion zsh > ${MADE}/_retort
             COMMAND retort help completion fish > ${MADE}/retort.fish)
foreach(page ${PAGES})
  list(APPEND OUTPUTS ${MADE}/man/retort-${page}.1)
  list(APPEND COMMANDS COMMAND retort help man ${page} > ${MADE}/man/retort-${page}.1)
endforeach()
file(MAKE_DIRECTORY ${MADE}/man)
# A program for another machine cannot write its own manual here.
if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
  message(STATUS "built for another machine: no manual pages and no completions")
else()
  add_custom_command(OUTPUT ${OUTPUTS} ${COMMANDS} DEPENDS retort VERBATIM)
  add_custom_target(manual ALL DEPENDS ${OUTPUTS})
  install(DIRECTORY ${MADE}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${MADE}/retort.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME retort)
  install(FILES ${MADE}/_retort DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  install(FILES ${MADE}/retort.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

install(TARGETS retort retort_core)
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES student/example/run_program.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)

# Headers, but for those that one floor keeps to itself.
foreach(floor engine data student teacher train export experiments)
  install(DIRECTORY ${floor}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/retort/${floor} FILES_MATCHING PATTERN "*.h"
          PATTERN cpu EXCLUDE PATTERN cuda EXCLUDE PATTERN int_simd.h EXCLUDE PATTERN int_family.h EXCLUDE
          PATTERN peers EXCLUDE PATTERN "*_parts.h" EXCLUDE PATTERN "*_format.h" EXCLUDE
          PATTERN plan_build.h EXCLUDE PATTERN ops.h EXCLUDE PATTERN broadcast.h EXCLUDE PATTERN h5_plan.h EXCLUDE
          PATTERN labels_open.h EXCLUDE)
endforeach()

set(PRIVATE_PACKAGES "libxxhash libdeflate libprotobuf-c sqlite3")
foreach(codec LZ4 ZSTD)
  if(${codec}_FOUND)
    string(TOLOWER "lib${codec}" codec)
    string(APPEND PRIVATE_PACKAGES " ${codec}")
  endif()
endforeach()
set(PRIVATE_LIBRARIES ${CSV_LIBRARY} ${OPENBLAS_LIBRARY} ${HDF5_C_LIBRARIES})
list(JOIN PRIVATE_LIBRARIES " " PRIVATE_LIBRARIES_TEXT)
file(RELATIVE_PATH UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)       # the tree may be moved
configure_file(cli/retort.pc.in ${MADE}/retort.pc @ONLY)
configure_package_config_file(cli/retort-config.cmake.in ${MADE}/retort-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/retort
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${MADE}/retort-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${MADE}/retort.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${MADE}/retort-config.cmake ${MADE}/retort-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/retort)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "the retort maintainers <maintainers@retort.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "distil a large model into a small one, measured against its teacher")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libarchive13 | libarchive13t64")        # loaded when it is needed
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
find_program(SHLIBDEPS dpkg-shlibdeps)
if(SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)         # depends on the packages of the libraries that it was linked with
endif()
include(CPack)
