#!/usr/bin/env python3
"""Makes pictures/ and arrays/ here, and beside them, by numpy and Pillow, what an import must give.

pictures/rgb.raw, grey.raw, white.raw, black.raw: (files, 5, 7, channels) u8 in the order of folders and names.
NAME.npy, NAME.npz and NAME.raw: an array, and its elements little-endian in C order. Run once: numpy 2.4, Pillow 12. The tests need neither."""
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(9)
H, W = 5, 7
rgb, grey, white, black = [], [], [], []


def random(*shape):
    return rng.integers(0, 256, shape).astype('u1')


def luma(px):
    return np.array(Image.fromarray(px).convert('L'))


def expect(px, alpha=None):
    """px (H, W, 3), or (H, W) grey; alpha (H, W)."""
    px = np.asarray(px)
    colour = px if px.ndim == 3 else np.repeat(px[..., None], 3, 2)
    rgb.append(colour)
    grey.append(px if px.ndim == 2 else luma(px))
    a = np.full((H, W), 255) if alpha is None else alpha
    for ground, to in ((255, white), (0, black)):
        n = colour.astype(int) * a[..., None] + ground * (255 - a[..., None].astype(int))
        to.append(np.rint(n / 255).astype('u1'))


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def write_png(path, head, rows):
    parts = chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    open(path, 'wb').write(b'\x89PNG\r\n\x1a\n' + parts)


def interlaced(path, px):
    """Adam7, which Pillow does not write: passes of an 8-bit RGB picture without filters."""
    rows = b''
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    for y0, x0, dy, dx in passes:
        part = px[y0::dy, x0::dx]
        if part.size:
            rows += b''.join(b'\0' + r.tobytes() for r in part)
    head = struct.pack('>IIBBBBB', W, H, 8, 2, 0, 0, 1)
    write_png(path, head, rows)


def deep_rgb(path, px):
    """16-bit RGB, which Pillow does not write either."""
    rows = b''.join(b'\0' + r.astype('>u2').tobytes() for r in px)
    head = struct.pack('>IIBBBBB', W, H, 16, 2, 0, 0, 0)
    write_png(path, head, rows)


def pictures():
    out = os.path.join(here, 'pictures')
    for d in ('jpeg', 'png'):
        os.makedirs(os.path.join(out, d), exist_ok=True)

    def at(name):
        return os.path.join(out, name)

    # jpeg/, by name
    Image.fromarray(random(H, W, 4), 'CMYK').save(at('jpeg/cmyk.jpeg'), quality=90)
    expect(np.array(Image.open(at('jpeg/cmyk.jpeg')).convert('RGB')))
    for o in range(1, 9):
        im = Image.fromarray(random(*((H, W) if o < 5 else (W, H)), 3))
        exif = im.getexif()
        exif[0x112] = o
        im.save(at(f'jpeg/exif{o}.jpg'), exif=exif, quality=90, subsampling=0)
        expect(np.array(ImageOps.exif_transpose(Image.open(at(f'jpeg/exif{o}.jpg')))))
    Image.fromarray(random(H, W)).save(at('jpeg/grey.JPG'), quality=90)
    expect(np.array(Image.open(at('jpeg/grey.JPG'))))
    Image.fromarray(random(H, W, 3)).save(at('jpeg/progressive.jpg'), quality=90, subsampling=0, progressive=True)
    expect(np.array(Image.open(at('jpeg/progressive.jpg'))))
    px = random(H, W, 3)
    Image.fromarray(px).save(at('jpeg/really_a.png.jpg'), format='PNG')
    expect(px)
    # png/, by name
    px = random(H, W, 4)
    Image.fromarray(px, 'RGBA').save(at('png/alpha.png'))
    expect(px[..., :3], px[..., 3])
    px = rng.integers(0, 65536, (H, W)).astype('u2')
    Image.fromarray(px).save(at('png/deep.png'))
    expect((px >> 8).astype('u1'))
    px = rng.integers(0, 65536, (H, W, 3)).astype('u2')
    deep_rgb(at('png/deep_rgb.png'), px)
    expect((px >> 8).astype('u1'))
    im = Image.fromarray(random(W, H, 3))
    exif = im.getexif()
    exif[0x112] = 6
    im.save(at('png/exif.png'), exif=exif)
    expect(np.array(ImageOps.exif_transpose(im)))
    px = random(H, W)
    info = PngInfo()
    info.add(b'gAMA', struct.pack('>I', 100000))          # linear light, which a colour-managed reader would change
    Image.fromarray(px).save(at('png/gamma.png'), pnginfo=info)
    expect(px)
    px = random(H, W, 2)
    Image.fromarray(px, 'LA').save(at('png/grey_alpha.png'))
    expect(px[..., 0], px[..., 1])
    px = random(H, W, 3)
    interlaced(at('png/interlaced.png'), px)
    expect(px)
    assert (np.array(Image.open(at('png/interlaced.png'))) == px).all()
    bits = random(H, W) > 127
    Image.fromarray(bits).save(at('png/one_bit.png'))
    expect(np.where(bits, 255, 0).astype('u1'))
    im = Image.fromarray(random(H, W, 3)).quantize(8)
    im.save(at('png/palette.png'))
    expect(np.array(im.convert('RGB')))
    im = Image.fromarray(random(H, W, 3)).quantize(8)
    im.save(at('png/palette_clear.png'), transparency=2)
    expect(np.array(im.convert('RGB')), np.where(np.array(im) == 2, 0, 255))
    for name, to in (('rgb', rgb), ('grey', grey), ('white', white), ('black', black)):
        np.stack(to).astype('u1').tofile(at(name + '.raw'))


def arrays():
    out = os.path.join(here, 'arrays')
    os.makedirs(out, exist_ok=True)

    def save(name, a, turned=None):
        np.save(os.path.join(out, name + '.npy'), a)
        c = np.ascontiguousarray(a if turned is None else turned)
        (c if c.dtype.kind in 'b' else c.astype(c.dtype.newbyteorder('<'))).tofile(os.path.join(out, name + '.raw'))

    save('bool', rng.random((4, 3)) > 0.5)
    save('big_f4', rng.normal(size=(4, 3)).astype('>f4'))
    save('big_i2', rng.integers(-999, 999, (4, 3)).astype('>i2'))
    save('f2', rng.normal(size=(4, 3)).astype('f2'))
    save('fortran', np.asfortranarray(rng.normal(size=(4, 2, 3, 5)).astype('f4')))
    save('fortran_big', np.asfortranarray(rng.integers(-99, 99, (4, 6)).astype('>i4')))
    save('first', (a := random(4, 3, 5, 6)), a.transpose(0, 2, 3, 1))
    save('first_fortran', np.asfortranarray(a := rng.normal(size=(4, 3, 5, 6)).astype('>f8')), a.transpose(0, 2, 3, 1))
    save('series_first', (a := rng.normal(size=(4, 3, 9)).astype('f4')), a.transpose(0, 2, 1))
    save('nhw', random(4, 5, 6))
    save('version2', random(4, 2))
    with open(os.path.join(out, 'version2.npy'), 'wb') as f:
        np.lib.format.write_array(f, np.fromfile(os.path.join(out, 'version2.raw'), 'u1').reshape(4, 2), version=(2, 0))
    np.save(os.path.join(out, 'fields.npy'), np.zeros(4, dtype=[('age', 'f4'), ('size', 'f4')]))
    np.save(os.path.join(out, 'objects.npy'), np.array([1, 'a', None], dtype=object), allow_pickle=True)
    np.save(os.path.join(out, 'complex.npy'), np.zeros((4, 2), 'c8'))
    x = random(4, 3)
    x.tofile(os.path.join(out, 'archive.raw'))
    np.savez(os.path.join(out, 'stored.npz'), x=x, y=np.array([2, 0, 2, 1]))
    y = np.array([[2], [0], [2], [1]])
    np.savez_compressed(os.path.join(out, 'packed.npz'), x_train=x, y_train=y, x_test=x[:1])
    np.savez(os.path.join(out, 'single.npz'), x)
    labels = {
        'words': ['owl', 'äöü', '', 'owl'], 'bytes': np.array([b'b', b'a', b'b', b'c']), 'floats': [1.0, 0.0, np.nan, 2.0],
        'halves': [0.5, 1.0, 1.5, 2.0], 'truth': [True, False, True, True], 'column': [[1], [0], [1], [2]],
        'one_hot': np.eye(4), 'from_one': np.array([1, 2, 3, 2], 'u1'), 'wide': np.array([0, 2, 0, 2], '>i8')}
    for name, y in labels.items():
        np.save(os.path.join(out, 'y_' + name + '.npy'), np.array(y))


pictures()
arrays()
