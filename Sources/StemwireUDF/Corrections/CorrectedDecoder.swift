import StemwireKernels

/// Decodes frames to corrected floating-point pixels.
struct CorrectedDecoder: StackDecoder {
    let dtype: DType
    let imageBytes: Int
    private let base: any StackDecoder
    private let corrector: FrameCorrector
    private let pixelCount: Int
    private let kernels = PixelKernels()

    init(_ base: any StackDecoder, _ corrector: FrameCorrector) {
        self.base = base
        self.corrector = corrector
        dtype = corrector.dtype
        pixelCount = base.imageBytes / base.dtype.byteCount
        imageBytes = pixelCount * dtype.byteCount
    }

    func undecodedStack(frames base: UnsafeRawPointer, stride: Int, count: Int) -> PixelStack? { nil }

    func decodeStack(
        frames first: UnsafeRawPointer, stride: Int, count: Int, into images: UnsafeMutableRawBufferPointer
    ) {
        precondition(images.count >= count * imageBytes, "no room for the decoded frames")
        guard count > 0, let start = images.baseAddress else { return }
        // Frame by frame, so that the pixels stay in the cache between the steps.
        if let stack = base.undecodedStack(frames: first, stride: stride, count: count) {
            for index in 0..<count { correct(stack.frames(index..<index + 1), start + index * imageBytes) }
            return
        }
        withUnsafeTemporaryAllocation(byteCount: base.imageBytes, alignment: AlignedStorage.alignment) { native in
            guard let pixels = native.baseAddress else { return }
            for index in 0..<count {
                base.decodeStack(frames: first + index * stride, stride: stride, count: 1, into: native)
                let image = start + index * imageBytes
                if let encoding = PixelEncoding(dtype: base.dtype) {
                    let stack = PixelStack(
                        base: pixels, stride: base.imageBytes, frameCount: 1, pixelCount: pixelCount,
                        encoding: encoding)
                    correct(stack, image)
                } else {
                    correct(pixels, image)
                }
            }
        }
    }

    /// Corrects one frame of counts.
    private func correct(_ frame: PixelStack, _ image: UnsafeMutableRawPointer) {
        guard dtype == .float64 else {
            let pixels = UnsafeMutableBufferPointer(
                start: image.bindMemory(to: Float.self, capacity: pixelCount), count: pixelCount)
            kernels.convertToFloat(frame, into: pixels)
            return corrector.correct(pixels)
        }
        withUnsafeTemporaryAllocation(
            byteCount: pixelCount * frame.encoding.bytesPerPixel, alignment: AlignedStorage.alignment
        ) { native in
            kernels.convertToNative(frame, into: native)
            if let pixels = native.baseAddress { correct(pixels, image) }
        }
    }

    /// Corrects one frame of native numbers.
    private func correct(_ native: UnsafeMutableRawPointer, _ image: UnsafeMutableRawPointer) {
        let frame = Frame(position: 0, dtype: base.dtype, pixelCount: pixelCount, base: native)
        if dtype == .float64 {
            let pixels = UnsafeMutableBufferPointer(
                start: image.bindMemory(to: Double.self, capacity: pixelCount), count: pixelCount)
            frame.copyPixels(to: pixels)
            corrector.correct(pixels)
        } else {
            // Of native numbers that are no counts, only `float32` stay `float32`.
            let pixels = UnsafeMutableBufferPointer(
                start: image.bindMemory(to: Float.self, capacity: pixelCount), count: pixelCount)
            UnsafeMutableRawBufferPointer(pixels).copyMemory(
                from: UnsafeRawBufferPointer(start: native, count: imageBytes))
            corrector.correct(pixels)
        }
    }
}

extension Frame {
    /// Copies all pixels, which are real numbers.
    fileprivate func copyPixels(to target: UnsafeMutableBufferPointer<Double>) {
        guard let start = target.baseAddress else { return }
        do {
            try copyPixels(0..<pixelCount, to: start)
        } catch {
            preconditionFailure("a corrector for frames of \(dtype): \(error)")
        }
    }
}
