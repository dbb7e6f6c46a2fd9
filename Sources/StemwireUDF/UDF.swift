import StemwireKernels

/// A user-defined function: what is computed from the frames of a scan while they arrive.
///
/// A UDF is one `struct`. It conforms to `FrameUDF`, `TileUDF` or `PartitionUDF` by what it wants to see at once (when to
/// several, tiles go before frames, frames before partitions), declares buffers, fills them in `process`, and says how
/// the buffers of two parts of the scan become one:
///
/// ```swift
/// struct Brightest: FrameUDF {
///     static let name = "brightest"
///     struct Parameters: UDFParameters { var above: Float = 0 }
///     let parameters: Parameters
///
///     init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }
///     var input: InputType { .float32 }
///
///     func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .float32)] }
///
///     func process(_ frame: Frame, _ context: Context) throws {
///         let brightest = try frame.pixels(as: Float.self).max() ?? 0
///         try context.buffer("intensity", as: Float.self)[0] = max(brightest - parameters.above, 0)
///     }
/// }
/// let registry = try UDFRegistry.builtIn.adding(Brightest.self)
/// ```
///
/// **Threads.** One instance is made for a run (per process) and used by all threads at once, so it holds what is constant:
/// parameters, masks. What a thread needs for itself and may change is its `TaskData`.
///
/// **Memory.** Pixels and buffers are handed over as `UnsafeBufferPointer`s: aligned for their type, in native byte
/// order, valid during the call only. (Not as `Span`s: those cannot be returned by a method of one's own type without an
/// experimental compiler feature in every package that declares one. `pointer.span` gives a bounds-checked one at no cost.)
///
/// **Errors.** What a UDF throws is reported with its id and partition, and marks the partition as failed; the run goes on.
public protocol UDF: TaskDataProvider {
    /// The parameters with their defaults.
    associatedtype Parameters: UDFParameters = NoParameters

    /// The name in requests, on the command line and on the wire.
    static var name: String { get }
    /// To be raised when the same parameters give another result; part of the content hash.
    static var version: Int { get }
    /// A line for each parameter that says unit and default, for help and error messages.
    static var parameterHelp: [String: String] { get }

    /// Prepares for one run; what is thrown for impossible parameters reaches the user with the list of valid ones.
    init(parameters: Parameters, meta: UDFMeta) throws

    /// The buffers, in the order of the exported channels. The same for every call.
    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration]

    /// What type pixels have in `process`: as they are, unless it says otherwise.
    var input: InputType { get }

    /// How many frames at once pay off, for masks larger than a frame. A wish: a tile may be shorter (tiles of a
    /// `.fixedTree` UDF are shorter only where frames are missing and at the end of a partition).
    var preferredTileDepth: Int { get }

    /// Which freedom the engine has with the order of frames and partitions.
    var order: MergeOrder { get }

    /// Whether all frames must be processed by one process, that of the server, since it keeps something there: a file.
    var needsOneProcess: Bool { get }

    /// Hashes of data that a parameter only names, such as a file's, by the parameter. Each takes the place of its
    /// parameter's value in the content hash: machines agree on the same data under another path, and do not agree on
    /// other data under the same one.
    var contents: [String: UInt64] { get }

    /// Called on fresh buffers (all zero; lowest or highest value where the merge is maximum or minimum).
    func preprocess(_ context: Context) throws

    /// Called on a partition's buffers before they are merged. The context's nav rows are the whole partition's.
    func postprocess(_ context: Context) throws

    /// Merges the `.custom` buffers. The other buffers of kind sig and single can be read too, before they are merged.
    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws

    /// Computes the `.resultOnly` buffers from the merged ones. Depends on nothing else, changes nothing else, and is
    /// called often, on parts of a scan.
    func computeResults(_ context: ResultsContext) throws
}

/// A UDF that sees one frame at a time.
public protocol FrameUDF: UDF {
    /// The context's nav buffers hold the row of this frame.
    func process(_ frame: Frame, _ context: Context) throws
}

/// A UDF that sees a few consecutive frames at a time, together about as large as a processor's cache.
public protocol TileUDF: UDF {
    /// The context's nav buffers hold the rows of these frames.
    func process(_ tile: FrameTile, _ context: Context) throws
}

/// A UDF that sees all frames of a partition at once. Needs memory for them; frames that were lost are not among them.
public protocol PartitionUDF: UDF {
    /// The context's nav buffers hold the rows of the whole partition.
    func process(_ partition: FramePartition, _ context: Context) throws
}

/// The form in which a UDF wants the pixels. Made once for all UDFs with the same wish.
public enum InputType: String, Sendable, Hashable, CaseIterable {
    /// As counted, in native byte order: `uint8`, `uint16`, `uint32` or `uint64` (see `UDFMeta.inputDType`). What is
    /// added up from them is exact. After corrections, or from files, also floating-point numbers.
    case native
    /// As `float32`; counts above 2²⁴ are rounded to the nearest.
    case float32
    /// As `FrameTile.stack()` for `PixelKernels`, which read either byte order: undecoded where that saves time. Counts only.
    case stack
}

/// The freedom the engine has with the order of a UDF's work.
///
/// Every choice gives the same bits for any number of threads and workers; the stricter one costs waiting.
public enum MergeOrder: String, Sendable, Hashable, CaseIterable {
    /// `.any` when all buffers merge exactly in any order (positions, integers' sum, minimum, maximum, overwrite),
    /// otherwise `.fixedTree`.
    case automatic
    /// Frames in any order, merged in any grouping, also before a partition is complete: for exact results.
    case any
    /// Frames in any order, but a partition is merged as a whole.
    case partition
    /// Frames in rising order in tiles of fixed borders, partitions as a whole, merged pairwise in a tree by partition
    /// index that depends on the number of partitions alone: for floating-point sums.
    case fixedTree
    /// As `.fixedTree`, but each partition is merged into what all earlier ones have become, as LiberTEM does: for merges
    /// whose right side must be a single partition.
    case sequence
}

extension UDF {
    public static var version: Int { 1 }
    public static var parameterHelp: [String: String] { [:] }
    public var input: InputType { .native }
    public var preferredTileDepth: Int { 1 }
    public var order: MergeOrder { .automatic }
    public var needsOneProcess: Bool { false }
    public var contents: [String: UInt64] { [:] }
    public func preprocess(_ context: Context) throws {}
    public func postprocess(_ context: Context) throws {}

    public func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        throw UDFFailure("a buffer is declared as merge: .custom, but \(Self.name) has no merge(into:from:)")
    }

    public func computeResults(_ context: ResultsContext) throws {
        throw UDFFailure("a buffer is declared as use: .resultOnly, but \(Self.name) has no computeResults(_:)")
    }
}

/// What each thread of a run keeps for itself and may change: plans, scratch memory. A part of `UDF`.
///
/// It is a protocol of its own since the compiler must know `TaskData` before it meets the methods with a `Context`.
public protocol TaskDataProvider: Sendable {
    /// Nothing, unless the UDF has a `makeTaskData(_:)`.
    associatedtype TaskData = Void

    /// Makes what a thread keeps for itself. Called once for each thread of a run.
    func makeTaskData(_ meta: UDFMeta) throws -> TaskData
}

extension TaskDataProvider {
    /// What the methods of a UDF work with.
    public typealias Context = UDFContext<TaskData>
}

extension TaskDataProvider where TaskData == Void {
    public func makeTaskData(_ meta: UDFMeta) throws {}
}
