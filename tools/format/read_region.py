#!/usr/bin/env python3
"""read_region.py FILE [--json] [--out BYTES] - read a region of Quire's without Quire.

Written from docs/format.md alone, in plain Python, so that the document is known to be complete. Prints what the files
hold, verifies every checksum, and with --out writes the bytes a program would see (pages 1 to the end) in the newest epoch.
Exit status 1: damaged. It takes no locks: read a region that nobody is writing.
"""
import argparse
import json
import os
import struct
import sys

PAGE = 4096
MASK = (1 << 64) - 1

# --- XXH3, 64 bits, seed 0, for inputs longer than 240 bytes (all that section 2 needs) --------------------------------
SECRET = bytes.fromhex(
    'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee0'
    '3590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d8a51'
    'e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8'
    'd17ad031ce45cb3a8f95160428afd7fbcabb4b407e')
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
STRIPE, STEP = 64, 8
STRIPES_A_BLOCK = (len(SECRET) - STRIPE) // STEP


def lanes(data, at):
    return struct.unpack_from('<8Q', data, at)


KEYS = [lanes(SECRET, i * STEP) for i in range(STRIPES_A_BLOCK)]
KEY_SCRAMBLE = lanes(SECRET, len(SECRET) - STRIPE)
KEY_LAST = lanes(SECRET, len(SECRET) - STRIPE - 7)


def accumulate(acc, data, at, key):
    words = lanes(data, at)
    for i in range(8):
        word = words[i]
        mixed = word ^ key[i]
        acc[i ^ 1] += word
        acc[i] = (acc[i] + (mixed & 0xFFFFFFFF) * (mixed >> 32)) & MASK


def fold(a, b):
    product = a * b
    return (product & MASK) ^ (product >> 64)


def xxh3(data):
    length = len(data)
    assert length > 240
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    block = STRIPES_A_BLOCK * STRIPE
    blocks = (length - 1) // block
    for b in range(blocks):
        for i in range(STRIPES_A_BLOCK):
            accumulate(acc, data, b * block + i * STRIPE, KEYS[i])
        for i in range(8):
            a = acc[i] & MASK
            acc[i] = ((a ^ (a >> 47) ^ KEY_SCRAMBLE[i]) * P32_1) & MASK
    for i in range((length - 1 - blocks * block) // STRIPE):
        accumulate(acc, data, blocks * block + i * STRIPE, KEYS[i])
    accumulate(acc, data, length - STRIPE, KEY_LAST)
    acc = [a & MASK for a in acc]
    key = struct.unpack_from('<8Q', SECRET, 11)
    result = (length * P64_1) & MASK
    for i in range(0, 8, 2):
        result += fold(acc[i] ^ key[i], acc[i + 1] ^ key[i + 1])
    result &= MASK
    result ^= result >> 37
    result = (result * 0x165667919E3779F9) & MASK
    return result ^ (result >> 32)


def page_sum(page, data):
    return (xxh3(data) ^ ((page + 1) * 0x9E3779B97F4A7C15 & MASK)) or 1


# --- the files ---------------------------------------------------------------------------------------------------------
class Damaged(Exception):
    pass


def expect(right, what):
    if not right:
        raise Damaged(what)


class Region:
    def __init__(self, path):
        self.file = open(path, 'rb')
        self.journal = open(path + '.journal', 'rb')
        self.read_superblock()
        self.read_headers()
        self.read_records()
        self.length = self.records[-1]['length'] if self.records else None
        zero = self.page(0)
        magic, pages, flags = struct.unpack_from('<3Q', zero)
        expect(magic == 0x3045474150455551, 'page 0 has another magic')
        if self.length is None:
            self.length = pages
        expect(pages == self.length, f'page 0 says {pages} pages, the newest record {self.length}')
        self.root, self.root_bytes, self.next_page, self.objects, self.used = struct.unpack_from('<5Q', zero, 24)

    @staticmethod
    def at(file, offset, length):
        file.seek(offset)
        data = file.read(length)
        expect(len(data) == length, f'{file.name} ends before {offset + length}')
        return data

    def read_superblock(self):
        data = self.at(self.file, 0, PAGE)
        magic, version, page_bytes, self.uuid = struct.unpack_from('<QII16s', data)
        expect(magic == 0x4E4F494745525551, f'{self.file.name} is no region')
        expect((version, page_bytes) == (1, PAGE), f'version {version} with pages of {page_bytes} bytes')
        expect(struct.unpack_from('<Q', data, 4088)[0] == xxh3(data[:4088]), 'the superblock is damaged')
        self.pages_max, self.sums_offset, self.data_offset, self.address, self.flags = struct.unpack_from(
            '<4QI', data, 32)

    def read_headers(self):
        best = None
        for slot in range(2):
            data = self.at(self.journal, slot * PAGE, PAGE)
            magic, version, page_bytes, uuid, *numbers = struct.unpack_from('<QII16s5Q', data)
            if magic != 0x4C4E4A4552495551 or (version, page_bytes) != (1, PAGE):
                continue
            if struct.unpack_from('<Q', data, 4088)[0] != xxh3(data[:4088]):
                continue
            if max(numbers[1], numbers[2], numbers[4]) >= 1 << 62:
                continue
            expect(uuid == self.uuid, 'the journal belongs to another region')
            if best is None or numbers[0] > best[0]:
                best = numbers
        expect(best is not None, 'both headers of the journal are damaged')
        self.sequence, self.ring_bytes, self.tail_position, self.tail_offset, self.tail_epoch = best

    def ring(self, position, pages):
        out = b''
        for i in range(pages):
            offset = (self.tail_offset + position + i * PAGE - self.tail_position) % self.ring_bytes
            out += self.at(self.journal, 8192 + offset, PAGE)
        return out

    def read_record(self, position, epoch):
        """The record there, or None when it is not valid (section 5)."""
        head = self.ring(position, 1)
        magic, its_epoch, its_position, uuid, length, head_pages, images, total = struct.unpack_from(
            '<3Q16sQIIQ', head)
        if magic != 0x4345524552495551 or uuid != self.uuid or (its_epoch, its_position) != (epoch, position):
            return None
        end = position + (head_pages + images) * PAGE
        if head_pages != (64 + 16 * images + 4095) // 4096 or end - self.tail_position > self.ring_bytes:
            return None
        head = self.ring(position, head_pages)
        if xxh3(head[:56] + bytes(8) + head[64:]) != total:
            return None
        pages = {}
        for i in range(images):
            page, total = struct.unpack_from('<2Q', head, 64 + 16 * i)
            image = position + (head_pages + i) * PAGE
            if page >= length or page_sum(page, self.ring(image, 1)) != total:
                return None
            pages[page] = image
        return {'epoch': epoch, 'position': position, 'length': length, 'end': end, 'pages': pages}

    def read_records(self):
        self.records, self.images = [], {}
        position, epoch = self.tail_position, self.tail_epoch
        while position - self.tail_position < self.ring_bytes:
            record = self.read_record(position, epoch + 1)
            if record is None:
                break
            self.records.append(record)
            self.images.update(record['pages'])
            position, epoch = record['end'], record['epoch']
        self.epoch = epoch
        self.expect_no_longer_ring(position)
        for page in range(position, self.tail_position + self.ring_bytes, PAGE):
            self.expect_nothing_later(page, position)

    def expect_no_longer_ring(self, end):
        """A record that is whole in a longer ring was written under another header (ibid.)."""
        ring_bytes = self.ring_bytes
        self.ring_bytes = (os.fstat(self.journal.fileno()).st_size - 8192) // PAGE * PAGE
        longer = self.ring_bytes > ring_bytes and self.read_record(end, self.epoch + 1)
        expect(not longer, 'the newest header of the journal is damaged: its ring was longer')
        self.ring_bytes = ring_bytes

    def expect_nothing_later(self, position, end):
        """A record that follows a damaged one proves that this was committed (section 5, "Torn or damaged")."""
        magic, epoch, its_position, uuid, _, head_pages, images = struct.unpack_from('<3Q16sQII', self.ring(position, 1))
        if magic != 0x4345524552495551 or uuid != self.uuid or its_position < end or epoch <= self.epoch:
            return
        at_home, last = its_position == position, position == end
        if (at_home and last) or ((at_home or last) and epoch == self.epoch + 1):
            return
        fits = position + (head_pages + images) * PAGE <= self.tail_position + self.ring_bytes
        expect(not (at_home and fits), f'record {self.epoch + 1} of the journal is damaged; record {epoch} is behind it')
        expect(False, f'the newest header of the journal is damaged: record {epoch} was written under it')

    def page(self, number):
        """A page in the newest epoch, verified."""
        if number in self.images:
            return self.ring(self.images[number], 1)
        data = self.at(self.file, self.data_offset + number * PAGE, PAGE)
        total = struct.unpack('<Q', self.at(self.file, self.sums_offset + number * 8, 8))[0]
        expect(data == bytes(PAGE) if total == 0 else total == page_sum(number, data), f'page {number} is damaged')
        return data


CLASSES = (16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 448, 576, 800, 1344, 2032)


def walk_heap(region):
    """(objects, bytes) that the pages hold, to be compared with page 0 (section 8)."""
    objects, used, page = 0, 0, 1
    while page < region.next_page:
        magic, kind, count, pages = struct.unpack_from('<IHHQ', region.page(page))
        expect(pages > 0, f'page {page} heads a run of no pages')
        if magic == 0x42414C53:
            objects, used = objects + count, used + count * CLASSES[kind]
        elif magic == 0x204E5552:
            objects, used = objects + 1, used + pages * PAGE
        else:
            expect(magic == 0x45455246, f'page {page} is no head')
        page += pages
    return objects, used


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('file')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--out', help='write the bytes of the newest epoch here')
    args = parser.parse_args()
    try:
        region = Region(args.file)
        with open(args.out or '/dev/null', 'wb') as out:
            for number in range(1, region.length):
                out.write(region.page(number))
        heap = None
        if region.flags & 8:
            objects, used = walk_heap(region)
            expect((objects, used) == (region.objects, region.used),
                   f'the heap holds {objects} objects of {used} bytes, page 0 says {region.objects} of {region.used}')
            heap = {'objects': objects, 'used_bytes': used, 'root': region.root, 'root_bytes': region.root_bytes}
    except Damaged as damage:
        sys.exit(f'{args.file}: {damage}')
    answer = {'uuid': region.uuid.hex(), 'epoch': region.epoch, 'home_epoch': region.tail_epoch,
              'length': (region.length - 1) * PAGE, 'records': len(region.records),
              'images': sum(len(r['pages']) for r in region.records), 'heap': heap}
    print(json.dumps(answer) if args.json else '\n'.join(f'{k:11} {v}' for k, v in answer.items()))


if __name__ == '__main__':
    main()
