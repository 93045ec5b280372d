"""Emulated machines that run the real thing: KVM on Debian's kernel, with VMX or SVM."""
