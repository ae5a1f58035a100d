/* The page's files, as bytes of the program; the include path is their folder. */
    .macro page_file name, file
    .global ridgeline_\name\()_begin
    .global ridgeline_\name\()_end
ridgeline_\name\()_begin:
    .incbin "\file"
ridgeline_\name\()_end:
    .byte 0
    .endm

    .section .rodata
    page_file index_html, "index.html"
    page_file page_css, "page.css"
    page_file page_js, "page.js"
    page_file api_js, "api.js"
    page_file markdown_js, "markdown.js"
    page_file panel_js, "panel.js"
    .section .note.GNU-stack,"",%progbits
