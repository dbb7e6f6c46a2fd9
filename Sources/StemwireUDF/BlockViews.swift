import StemwireKernels

/// One block of frames in all forms that UDFs ask for, each made when it is first asked for, on the lane's scratch memory.
struct BlockViews {
    let positions: Range<Int>
    private let decoder: any StackDecoder
    private let scratch: BlockScratch
    /// The frames as received; nil for those that were kept decoded.
    private let received: (base: UnsafeRawPointer, stride: Int)?
    private var native: FrameTile?
    private var float32: (tile: FrameTile, version: Int)?

    /// Frames as received, the first pixel of the first one at `base`.
    init(received base: UnsafeRawPointer, stride: Int, positions: Range<Int>, _ lane: UDFLane) {
        self.positions = positions
        decoder = lane.decoder
        scratch = lane.scratch
        received = (base, stride)
    }

    /// Decoded frames.
    init(_ tile: FrameTile, _ lane: UDFLane) {
        positions = tile.positions
        decoder = lane.decoder
        scratch = lane.scratch
        received = nil
        native = tile
    }

    /// The frames as a UDF wants them.
    ///
    /// - Parameter prefersUndecoded: For `.stack`: whether decoding is not worth its while.
    mutating func tile(_ input: InputType, prefersUndecoded: Bool) -> FrameTile {
        switch input {
        case .native: return decoded()
        case .stack: return native ?? (prefersUndecoded ? undecoded() : nil) ?? decoded()
        case .float32:
            if decoder.dtype == .float32 { return decoded() }
            // Another block may have used the scratch memory meanwhile.
            if let float32, float32.version == scratch.floatVersion { return float32.tile }
            let tile = converted(native ?? undecoded() ?? decoded())
            float32 = (tile, scratch.floatVersion)
            return tile
        }
    }

    /// The frames in native byte order.
    mutating func decoded() -> FrameTile {
        if let native { return native }
        if let tile = undecoded(), tile.isDecoded {
            native = tile
            return tile
        }
        guard let received else { preconditionFailure("a block without frames") }
        let bytes = positions.count * decoder.imageBytes
        let images = scratch.native(bytes)
        decoder.decodeStack(
            frames: received.base, stride: received.stride, count: positions.count,
            into: UnsafeMutableRawBufferPointer(start: images, count: bytes))
        let tile = FrameTile(
            positions: positions, dtype: decoder.dtype, pixelCount: decoder.imageBytes / decoder.dtype.byteCount,
            frameStride: decoder.imageBytes, base: images, encoding: PixelEncoding(dtype: decoder.dtype))
        native = tile
        return tile
    }

    private func undecoded() -> FrameTile? {
        guard let received,
            let stack = decoder.undecodedStack(
                frames: received.base, stride: received.stride, count: positions.count)
        else { return nil }
        return FrameTile(
            positions: positions, dtype: decoder.dtype, pixelCount: stack.pixelCount, frameStride: stack.stride,
            base: stack.base, encoding: stack.encoding)
    }

    private func converted(_ tile: FrameTile) -> FrameTile {
        let count = tile.count * tile.pixelCount
        let pixels = scratch.float32(count)
        let target = UnsafeMutableBufferPointer(start: pixels, count: count)
        if let encoding = tile.encoding {
            let stack = PixelStack(
                base: tile.base, stride: tile.frameStride, frameCount: tile.count, pixelCount: tile.pixelCount,
                encoding: encoding)
            scratch.kernels.convertToFloat(stack, into: target)
        } else {
            tile.roundReals(into: target)
        }
        return FrameTile(
            positions: positions, dtype: .float32, pixelCount: tile.pixelCount,
            frameStride: tile.pixelCount * DType.float32.byteCount, base: pixels, encoding: nil)
    }
}

/// The memory of a lane for blocks; grows to the largest block and stays.
final class BlockScratch {
    let kernels = PixelKernels()
    /// Rises whenever the float memory gets another content.
    private(set) var floatVersion = 0
    private var nativeStorage = AlignedStorage(uninitialized: 0)
    private var floatStorage = AlignedStorage(uninitialized: 0)

    func native(_ byteCount: Int) -> UnsafeMutableRawPointer {
        if nativeStorage.byteCount < byteCount { nativeStorage = AlignedStorage(uninitialized: byteCount) }
        return nativeStorage.pointer
    }

    func float32(_ count: Int) -> UnsafeMutablePointer<Float> {
        let byteCount = count * DType.float32.byteCount
        if floatStorage.byteCount < byteCount { floatStorage = AlignedStorage(uninitialized: byteCount) }
        floatVersion += 1
        return floatStorage.pointer.bindMemory(to: Float.self, capacity: count)
    }
}
