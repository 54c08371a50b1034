/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire_copy_out, quire_copy_in, trap_copy_avx, trap_copy_sse
 * (rdi destination, rsi source, rdx length) -> eax 0 or -errno
 *
 * No stack frame and no saved register, so that leaving from any instruction is one jump to trap_copy_failed(). One text
 * with three kinds of vector:
 *
 *	quire_copy_*    32 bytes in registers from 16 on (AVX-512), which need no vzeroupper: at 64 bytes 1.02 of memcpy,
 *	                against 1.13 with it
 *	trap_copy_avx   32 bytes (AVX2)
 *	trap_copy_sse   16 bytes
 *
 * and four ways by length:
 *
 *	below one vector    scalars
 *	up to 8 vectors     from both ends, overlapping in the middle: no loop, few jumps
 *	below STRING        four vectors a turn to aligned places, the last four from the end
 *	from STRING on      rep movsb, which the processor turns into whole cache lines (with ERMS; since 2013). The C
 *	                    library waits until 8 KiB: 4 KiB take it 1.2 to 1.6 times as long as us
 */
	.set	STRING, 2048

	.text
	.globl	trap_copy_begin
	.hidden	trap_copy_begin
	.p2align 6
trap_copy_begin:

/* Two vectors at an offset from the start, or from rdx bytes on: into and out of registers a and b. */
	.macro	LOAD2	mov, v, w, offset, a, b
	\mov	\offset(%rsi), %\v\a
	\mov	\w+\offset(%rsi), %\v\b
	.endm
	.macro	STORE2	mov, v, w, offset, a, b
	\mov	%\v\a, \offset(%rdi)
	\mov	%\v\b, \w+\offset(%rdi)
	.endm
	.macro	LOAD2_END mov, v, w, offset, a, b
	\mov	\offset(%rsi,%rdx), %\v\a
	\mov	\w+\offset(%rsi,%rdx), %\v\b
	.endm
	.macro	STORE2_END mov, v, w, offset, a, b
	\mov	%\v\a, \offset(%rdi,%rdx)
	\mov	%\v\b, \w+\offset(%rdi,%rdx)
	.endm

	.macro	DONE	v
	.ifc	\v, ymm
	vzeroupper
	.endif
	ret
	.endm

	.macro	COPIER	mov, v, w
	xorl	%eax, %eax
	cmpq	$\w, %rdx
	jb	.Lsmall
	cmpq	$2*\w, %rdx
	ja	1f
	\mov	(%rsi), %\v\()0
	\mov	-\w(%rsi,%rdx), %\v\()1
	\mov	%\v\()0, (%rdi)
	\mov	%\v\()1, -\w(%rdi,%rdx)
	DONE	\v

	.p2align 4
1:	cmpq	$4*\w, %rdx
	ja	2f
	LOAD2	\mov, \v, \w, 0, 0, 1
	LOAD2_END \mov, \v, \w, -2*\w, 2, 3
	STORE2	\mov, \v, \w, 0, 0, 1
	STORE2_END \mov, \v, \w, -2*\w, 2, 3
	DONE	\v

	.p2align 4
2:	cmpq	$8*\w, %rdx
	ja	3f
	LOAD2	\mov, \v, \w, 0, 0, 1
	LOAD2	\mov, \v, \w, 2*\w, 2, 3
	LOAD2_END \mov, \v, \w, -4*\w, 4, 5
	LOAD2_END \mov, \v, \w, -2*\w, 6, 7
	STORE2	\mov, \v, \w, 0, 0, 1
	STORE2	\mov, \v, \w, 2*\w, 2, 3
	STORE2_END \mov, \v, \w, -4*\w, 4, 5
	STORE2_END \mov, \v, \w, -2*\w, 6, 7
	DONE	\v

	.p2align 4
3:	cmpq	$STRING, %rdx
	jae	.Lstring
	/* One vector anywhere, then on from the next multiple of a vector in the destination. */
	\mov	(%rsi), %\v\()0
	\mov	%\v\()0, (%rdi)
	movq	%rdi, %rcx
	orq	$\w-1, %rdi
	incq	%rdi
	subq	%rdi, %rcx
	subq	%rcx, %rsi
	addq	%rcx, %rdx
	leaq	-4*\w(%rdx), %rcx
	.p2align 5
4:	LOAD2	\mov, \v, \w, 0, 0, 1
	LOAD2	\mov, \v, \w, 2*\w, 2, 3
	STORE2	\mov, \v, \w, 0, 0, 1
	STORE2	\mov, \v, \w, 2*\w, 2, 3
	addq	$4*\w, %rsi
	addq	$4*\w, %rdi
	subq	$4*\w, %rcx
	ja	4b
	/* Now rcx = bytes that are left - 4 * w, at most 0: the last four vectors lie at rcx. */
	movq	%rcx, %rdx
	LOAD2_END \mov, \v, \w, 0, 0, 1
	LOAD2_END \mov, \v, \w, 2*\w, 2, 3
	STORE2_END \mov, \v, \w, 0, 0, 1
	STORE2_END \mov, \v, \w, 2*\w, 2, 3
	DONE	\v
	.endm

	.globl	quire_copy_out
	.type	quire_copy_out, @function
	.globl	quire_copy_in
	.type	quire_copy_in, @function
	.p2align 6
quire_copy_out:
quire_copy_in:
	.cfi_startproc
	cmpb	$0, trap_copy_fast(%rip)
	je	.Lother
	COPIER	vmovdqu64, ymm2, 32 /* registers 20 to 27 */
.Lother:
	jmp	*trap_copy_other(%rip)
	.cfi_endproc
	.size	quire_copy_out, . - quire_copy_out
	.size	quire_copy_in, . - quire_copy_in

	.globl	trap_copy_avx
	.hidden	trap_copy_avx
	.type	trap_copy_avx, @function
	.p2align 6
trap_copy_avx:
	.cfi_startproc
	COPIER	vmovdqu, ymm, 32
	.cfi_endproc
	.size	trap_copy_avx, . - trap_copy_avx

	.globl	trap_copy_sse
	.hidden	trap_copy_sse
	.type	trap_copy_sse, @function
	.p2align 6
trap_copy_sse:
	.cfi_startproc
	COPIER	movups, xmm, 16
	.cfi_endproc
	.size	trap_copy_sse, . - trap_copy_sse

	.cfi_startproc
	.p2align 4
.Lstring:
	movq	%rdx, %rcx
	rep movsb
	ret

	.p2align 4
.Lsmall: /* below 32 bytes */
	cmpq	$16, %rdx
	jb	5f
	movups	(%rsi), %xmm0
	movups	-16(%rsi,%rdx), %xmm1
	movups	%xmm0, (%rdi)
	movups	%xmm1, -16(%rdi,%rdx)
	ret
5:	cmpq	$8, %rdx
	jb	6f
	movq	(%rsi), %rcx
	movq	-8(%rsi,%rdx), %r8
	movq	%rcx, (%rdi)
	movq	%r8, -8(%rdi,%rdx)
	ret
6:	cmpq	$4, %rdx
	jb	7f
	movl	(%rsi), %ecx
	movl	-4(%rsi,%rdx), %r8d
	movl	%ecx, (%rdi)
	movl	%r8d, -4(%rdi,%rdx)
	ret
7:	testq	%rdx, %rdx
	je	9f
	movzbl	(%rsi), %ecx
	movzbl	-1(%rsi,%rdx), %r8d
	cmpq	$3, %rdx
	jne	8f
	movzbl	1(%rsi), %r9d
	movb	%r9b, 1(%rdi)
8:	movb	%cl, (%rdi)
	movb	%r8b, -1(%rdi,%rdx)
9:	ret
	.cfi_endproc

	.globl	trap_copy_end
	.hidden	trap_copy_end
trap_copy_end:

	.section .note.GNU-stack, "", @progbits
