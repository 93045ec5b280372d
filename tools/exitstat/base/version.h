/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define EXITSTAT_VERSION "0.1"

#endif
