/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

#endif
