import MerlinProtocol
import StemwireKernels

/// One frame as a function sees it: an image of `float32`. Valid during the call only.
public struct FrameImage {
    /// The scan position: flat nav index, slow axis first.
    public let position: Int
    /// The scan position's indices on the nav axes, slow axis first, such as (y, x).
    public let coordinates: [Int]
    /// The image (y, x).
    public let sigShape: SigShape
    /// The pixels, row-major [y, x]; counts above 2²⁴ are rounded.
    public let pixels: UnsafeBufferPointer<Float>

    /// A pixel.
    ///
    /// - Precondition: It lies in the frame.
    public subscript(y: Int, x: Int) -> Float {
        precondition(y >= 0 && y < sigShape.height && x >= 0 && x < sigShape.width, "no pixel of the frame")
        return pixels[y * sigShape.width + x]
    }
}

/// What a function can make of a frame: a number, or an array of numbers.
public protocol FrameFunctionValue: Sendable {
    associatedtype Number: ResultElement
    /// How many numbers it is.
    var numberCount: Int { get }
    /// Copies the numbers to where there is room for them.
    func copyNumbers(to target: UnsafeMutablePointer<Number>)
}

extension FrameFunctionValue where Self: ResultElement, Number == Self {
    public var numberCount: Int { 1 }
    public func copyNumbers(to target: UnsafeMutablePointer<Self>) { target.pointee = self }
}

extension Bool: FrameFunctionValue { public typealias Number = Bool }
extension UInt8: FrameFunctionValue { public typealias Number = UInt8 }
extension UInt16: FrameFunctionValue { public typealias Number = UInt16 }
extension UInt32: FrameFunctionValue { public typealias Number = UInt32 }
extension UInt64: FrameFunctionValue { public typealias Number = UInt64 }
extension Int32: FrameFunctionValue { public typealias Number = Int32 }
extension Int64: FrameFunctionValue { public typealias Number = Int64 }
extension Float: FrameFunctionValue { public typealias Number = Float }
extension Double: FrameFunctionValue { public typealias Number = Double }
extension Complex64: FrameFunctionValue { public typealias Number = Complex64 }
extension Complex128: FrameFunctionValue { public typealias Number = Complex128 }

extension Int: FrameFunctionValue {
    public var numberCount: Int { 1 }
    public func copyNumbers(to target: UnsafeMutablePointer<Int64>) { target.pointee = Int64(self) }
}

extension Array: FrameFunctionValue where Element: ResultElement {
    public var numberCount: Int { count }
    public func copyNumbers(to target: UnsafeMutablePointer<Element>) {
        for (index, number) in enumerated() { target[index] = number }
    }
}

/// A function of one frame, with the type and shape of what it makes: what `UDFRequest.function` and
/// `UDFRegistry.adding(function:)` are given. Equal to itself alone.
public final class FrameFunction: Sendable, Equatable {
    public let name: String
    /// The type of the numbers.
    public let dtype: DType
    /// The shape of one frame's numbers.
    public let shape: [Int]
    private let body: @Sendable (FrameImage, UnsafeMutableRawBufferPointer) throws -> Void

    init<Value: FrameFunctionValue>(
        _ name: String, shape: [Int], _ body: @escaping @Sendable (FrameImage) throws -> Value
    ) {
        self.name = name
        self.shape = shape
        dtype = Value.Number.dtype
        self.body = { image, bytes in
            let value = try body(image)
            let target = bytes.assumingMemoryBound(to: Value.Number.self)
            guard value.numberCount == target.count, let start = target.baseAddress else {
                throw UDFFailure(
                    "the function made \(value.numberCount) numbers of a frame, which do not fill its shape \(shape)")
            }
            value.copyNumbers(to: start)
        }
    }

    public static func == (left: FrameFunction, right: FrameFunction) -> Bool { left === right }

    func callAsFunction(_ image: FrameImage, into bytes: UnsafeMutableRawBufferPointer) throws {
        try body(image, bytes)
    }

    /// What a registry has of it.
    var entry: UDFRegistry.Entry {
        UDFRegistry.Entry(name: name) { [self] meta throws(UDFError) in
            do {
                return try FunctionUDF(self, meta)
            } catch {
                throw UDFError(.badRequest, udf: name, "\(error)", cause: error)
            }
        }
    }
}

extension UDFRequest {
    /// A request to compute a function of each frame.
    ///
    /// ```swift
    /// let outcome = try await context.run(.function("brightest") { $0.pixels.max() ?? 0 }, on: scan)
    /// let image = outcome["brightest", "result"]?.array
    /// ```
    ///
    /// The channel `result` (nav, + `shape`) holds what the function made: numbers of its type. It does LiberTEM's
    /// `AutoUDF`'s job, but the type is that of the function and the shape is told, so nothing is tried out on frames
    /// that are none. A function cannot be sent: it is for runs in this process.
    ///
    /// - Parameters:
    ///   - name: Names the results; letters, digits, `_`, `-`, `.`.
    ///   - shape: Of one frame's numbers, when it is an array.
    ///   - body: Called for each frame, by all threads of the run at once. What it throws marks the partition as failed.
    public static func function<Value: FrameFunctionValue>(
        _ name: String, shape: [Int] = [], _ body: @escaping @Sendable (FrameImage) throws -> Value
    ) -> UDFRequest {
        var request = UDFRequest(name: name)
        request.function = FrameFunction(name, shape: shape, body)
        return request
    }
}

extension UDFRegistry {
    /// The registry with a function of each frame more, to be asked for by name; see `UDFRequest.function`.
    ///
    /// ```swift
    /// let registry = try UDFRegistry.builtIn.adding(function: "brightest") { $0.pixels.max() ?? 0 }
    /// ```
    ///
    /// - Parameters:
    ///   - name: Letters, digits, `_`, `-` and `.`.
    ///   - shape: Of one frame's numbers, when it is an array.
    ///   - body: Called for each frame, by all threads of a run at once.
    /// - Throws: As `add(_:)`.
    public func adding<Value: FrameFunctionValue>(
        function name: String, shape: [Int] = [], _ body: @escaping @Sendable (FrameImage) throws -> Value
    ) throws(UDFError) -> UDFRegistry {
        var registry = self
        try registry.add(FrameFunction(name, shape: shape, body).entry)
        return registry
    }
}
