import StemwireKernels

/// A function of each frame as a UDF: channel `result` (nav, + shape of the function).
struct FunctionUDF: FrameUDF {
    static let name = "function"

    /// Memory for a frame that comes in another type than `float32`.
    final class Scratch {
        fileprivate let numbers: AlignedStorage
        fileprivate let pixels: AlignedStorage

        fileprivate init(pixelCount: Int) {
            numbers = AlignedStorage(uninitialized: pixelCount * DType.float64.byteCount)
            pixels = AlignedStorage(uninitialized: pixelCount * DType.float32.byteCount)
        }
    }

    private let function: FrameFunction
    let input: InputType

    init(_ function: FrameFunction, _ meta: UDFMeta) throws {
        try checkRealPixels(meta)
        self.function = function
        input = meta.hasCounts || meta.inputDType == .float32 ? .float32 : .native
    }

    init(parameters: NoParameters, meta: UDFMeta) throws {
        throw UDFFailure("there is no function; it comes with UDFRequest.function or UDFRegistry.adding(function:)")
    }

    /// Two functions of one name are not the same.
    var contents: [String: UInt64] { ["function": UInt64(UInt(bitPattern: ObjectIdentifier(function)))] }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("result", function.dtype, extraShape: function.shape)]
    }

    func makeTaskData(_ meta: UDFMeta) throws -> Scratch {
        Scratch(pixelCount: input == .native ? meta.sigShape.pixelCount : 0)
    }

    func process(_ frame: Frame, _ context: Context) throws {
        let image = FrameImage(
            position: frame.position, coordinates: context.meta.coordinates(ofPosition: frame.position),
            sigShape: context.meta.sigShape, pixels: try pixels(frame, context.data))
        try function(image, into: try context.bytes("result"))
    }

    private func pixels(_ frame: Frame, _ scratch: Scratch) throws -> UnsafeBufferPointer<Float> {
        if input == .float32 { return try frame.pixels(as: Float.self) }
        let numbers = scratch.numbers.pointer.bindMemory(to: Double.self, capacity: frame.pixelCount)
        let pixels = scratch.pixels.pointer.bindMemory(to: Float.self, capacity: frame.pixelCount)
        try frame.copyPixels(0..<frame.pixelCount, to: numbers)
        for index in 0..<frame.pixelCount { pixels[index] = Float(numbers[index]) }
        return UnsafeBufferPointer(start: pixels, count: frame.pixelCount)
    }
}
