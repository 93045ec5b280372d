/* SPDX-License-Identifier: GPL-2.0 */
/* What a page is made of, as strings. */
	.section .rodata, "a"

	.globl report_template
	.type report_template, @object
report_template:
	.incbin "page/page.html"
	.byte 0
	.size report_template, . - report_template

	.globl report_chart_js
	.type report_chart_js, @object
report_chart_js:
	.incbin CHART_JS
	.byte 0
	.size report_chart_js, . - report_chart_js

	.section .note.GNU-stack, "", @progbits
