/* SPDX-License-Identifier: GPL-2.0 */
/* The data of a page, as JSON in a script. */
#ifndef PAGE_DATA_H
#define PAGE_DATA_H

#include <stdbool.h>
#include <stdio.h>

#include "page/page.h"

/* No '<' is in it.  False if memory runs out. */
bool page_print_data(FILE *out, const struct page *page);

#endif
