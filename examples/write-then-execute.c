/* SPDX-License-Identifier: Apache-2.0 */
/* Code is written, then executed: never both at once (W^X). */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

#if defined(__x86_64__)
static const unsigned char code[] = { 0xb8, 0x2a, 0x00, 0x00, 0x00, 0xc3 }; /* mov eax, 42; ret */
#elif defined(__aarch64__)
static const unsigned char code[] = { 0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6 }; /* mov w0, 42; ret */
#else
static const unsigned char code[] = { 0 };
#endif

int main(void)
{
	struct quire_map *map;
	int (*answer)(void);
	void *address;

	if (sizeof(code) == 1)
		return 77; /* no code for this machine in this example */

	/* Both at once is refused, at the start and later. */
	assert(quire_map(NULL,
		       QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = 4096,
			       .protection = QUIRE_READ | QUIRE_WRITE | QUIRE_EXECUTE),
		       &map) == -EINVAL);
	printf("%s\n", quire_error_text());

	assert(quire_map_anon(NULL, 4096, &map) == 0);
	address = quire_map_address(map);
	memcpy(address, code, sizeof(code));
	assert(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ | QUIRE_WRITE | QUIRE_EXECUTE) == -EINVAL);
	assert(quire_map_protect(map, 0, QUIRE_TO_END, QUIRE_READ | QUIRE_EXECUTE) == 0);
	__builtin___clear_cache(address, (char *)address + sizeof(code));

	memcpy(&answer, &address, sizeof(answer)); /* ISO C has no cast between data and code */
	printf("the code answers %d\n", answer());
	assert(answer() == 42);
	assert(quire_unmap(map) == 0);
	return 0;
}
