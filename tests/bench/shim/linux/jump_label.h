/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_JUMP_LABEL_H
#define SHIM_JUMP_LABEL_H

/*
 * A key is a constant: the kernel patches its code, a process is compiled with
 * it.  SHIM_<key> is its value.
 */
#define DECLARE_STATIC_KEY_TRUE(name) static const bool name = SHIM_##name
#define DECLARE_STATIC_KEY_FALSE(name) DECLARE_STATIC_KEY_TRUE(name)
#define static_branch_likely(key) likely(*(key))
#define static_branch_unlikely(key) unlikely(*(key))

#endif
