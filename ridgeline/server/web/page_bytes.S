/* index.html, as bytes of the program. RIDGELINE_PAGE is its path. */
    .section .rodata
    .global ridgeline_page_begin
    .global ridgeline_page_end
ridgeline_page_begin:
    .incbin RIDGELINE_PAGE
ridgeline_page_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
