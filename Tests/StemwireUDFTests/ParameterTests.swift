import StemwireKernels
import StemwireUDF
import Testing

@Suite("Parameters and requests")
struct ParameterTests {
    enum Mode: String, Codable { case mean, linear }

    struct Region: Codable, Hashable {
        var rows: [Int]
        var name: String?
    }

    struct Everything: UDF, FrameUDF {
        static let name = "everything"
        static let parameterHelp = ["cy": "row of the centre"]

        struct Parameters: UDFParameters {
            var cy: Double?
            var r = 2.5
            var count: UInt8 = 3
            var isOn = false
            var mode = Mode.mean
            var frames: [Int] = []
            var matrix: [[Double]] = []
            var region = Region(rows: [1], name: nil)
            var label = "a"
        }
        let parameters: Parameters

        init(parameters: Parameters, meta: UDFMeta) throws {
            guard parameters.r >= 0 else { throw UDFFailure("r: must not be negative") }
            self.parameters = parameters
        }
        func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .float32)] }
        func process(_ frame: Frame, _ context: Context) throws {}
    }

    private func parameters(_ request: UDFRequest) throws -> Everything.Parameters {
        let registry = try UDFRegistry.builtIn.adding(Everything.self)
        let plan = try RunPlan([request], registry: registry, meta: try ScanFixture().meta(framesPerPartition: 2))
        return try #require(plan.udfs[0].udf as? Everything).parameters
    }

    @Test func fromTheCommandLine() throws {
        let request = try UDFRequest(
            argument: "mine=everything:cy=31.5,r=inf,count=7,isOn=yes,mode=linear,frames=3,1,2,label=b=c")
        #expect(request.id == "mine" && request.name == "everything")
        let found = try parameters(request)
        #expect(found.cy == 31.5 && found.r == .infinity && found.count == 7 && found.isOn && found.mode == .linear)
        #expect(found.frames == [3, 1, 2] && found.label == "b=c" && found.matrix == [])
        #expect(try parameters(try UDFRequest(argument: "everything")) == Everything.Parameters())
        #expect(try parameters(try UDFRequest(argument: "everything:frames=4")).frames == [4])
    }

    @Test func fromJSON() throws {
        var request = UDFRequest(name: "everything")
        try request.setParameters(
            json:
                #" {"r": 3, "cy":null, "frames":[1,2], "matrix":[[1,0.5],[-2e1,"nan"]], "label":"\u00e4\ud83d\ude00\n", "#
                + #""region":{"rows":[4,5],"name":"x"}, "mode":"linear", "isOn":true} "#)
        let found = try parameters(request)
        #expect(found.r == 3 && found.cy == nil && found.frames == [1, 2] && found.isOn)
        #expect(found.matrix[0] == [1, 0.5] && found.matrix[1][0] == -20 && found.matrix[1][1].isNaN)
        #expect(found.label == "ä😀\n" && found.region == Region(rows: [4, 5], name: "x"))
        let again = try ParameterValue(json: request.parametersJSON)
        #expect(again.json == request.parametersJSON)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\" 1}", "{\"a\":1,\"a\":2}", "01", "1.", "-", "1e", "tru", "\"a", "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud800\"", "1 2", "{1:2}", "\"\u{1}\"", "nan", "1e999", "+1",
    ])
    func notJSON(text: String) {
        #expect(message { _ = try ParameterValue(json: text) }.hasPrefix("the parameters are not JSON"))
    }

    @Test func deepNestingIsRefused() {
        let text = String(repeating: "[", count: 100_000)
        #expect(message { _ = try ParameterValue(json: text) }.contains("nested too deeply"))
    }

    @Test func errorsListWhatIsValid() {
        func fault(_ values: [String: ParameterValue]) -> String {
            message { _ = try parameters(UDFRequest(id: "mine", name: "everything", parameters: values)) }
        }
        let valid =
            "everything takes cy (row of the centre), r [2.5], count [3], isOn [false], mode [mean], frames [[]], "
            + "matrix [[]], region [{rows:[1]}], label [a]"
        #expect(fault(["radius": 3]) == "UDF mine: has no parameter \"radius\"; " + valid)
        #expect(fault(["r": "wide"]) == "UDF mine: r: wide is not a number; " + valid)
        #expect(fault(["r": -1]) == "UDF mine: r: must not be negative; " + valid)
        #expect(fault(["count": 256]).contains("count: 256 is not a whole number of at least 0"))
        #expect(fault(["count": 1.5]).contains("count: 1.5 is not"))
        #expect(fault(["isOn": "maybe"]).contains("isOn: maybe is not true or false"))
        #expect(fault(["mode": "cubic"]).contains("mode: "))
        #expect(fault(["frames": [1, "b"]]).contains("frames.[1]: b is not a whole number"))
        #expect(fault(["frames": ["x": 1]]).contains("frames: expected a list"))
        #expect(fault(["region": 4]).contains("region: expected named values"))
        #expect(fault(["region": ["name": "x"]]).contains("region.rows: is missing"))
        #expect(fault(["label": 4]).contains("label: 4 is not text"))
        let sum = UDFRequest(name: "sum", parameters: ["r": 1])
        #expect(message { _ = try parameters(sum) } == "UDF sum: has no parameter \"r\"; sum takes none")
    }

    @Test func builtInFaults() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 2)
        func fault(_ argument: String) -> String {
            message { _ = try RunPlan([try UDFRequest(argument: argument)], meta: meta) }
        }
        #expect(fault("disk:r=-1").contains("r: -1.0 is no radius"))
        #expect(fault("disk:r=nan").contains("r: nan is no radius"))
        #expect(fault("disk:cy=inf").contains("no place on the detector"))
        #expect(fault("disk:r=inf") == "no error")
        #expect(fault("ring:ri=3,ro=3").contains("enclose no ring"))
        #expect(fault("ring:ri=-1").contains("enclose no ring"))
        #expect(fault("point:cy=6").contains("not in the frame of 6 × 9"))
        #expect(fault("rectangle:y=1").contains("are all needed; rectangle takes y (first row in pixels)"))
        #expect(fault("rectangle:y=1,x=1,height=6,width=1").contains("not inside the frame"))
        #expect(fault("rectangle:y=0,x=0,height=\(Int.max),width=1").contains("not inside the frame"))
        #expect(fault("disk:radius=3").contains("disk takes cy (row of the centre in pixels; default: height div 2)"))
    }

    @Test(arguments: [
        "", ":r=1", "=sum", "a=:r=1", "disk:", "disk:r", "disk:=1", "disk:r=1,r=2", "disk:1,r=2", "disk:r=1,,cy=2",
    ])
    func badArguments(argument: String) {
        #expect(message { _ = try UDFRequest(argument: argument) }.contains("the form is [ID=]NAME"))
    }

    @Test func hashesTellWhatIsTheSame() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 2)
        func hash(_ request: UDFRequest) throws -> UInt64 { try RunPlan([request], meta: meta).udfs[0].contentHash }
        let typed = try UDFRequest(id: "x", DiskUDF.self, .init(cy: 3, r: 2))
        #expect(try hash(typed) == (try hash(try UDFRequest(argument: "disk:r=2.0,cy=3"))))
        #expect(try hash(typed) != (try hash(try UDFRequest(argument: "disk:r=2.1,cy=3"))))
        #expect(try hash(UDFRequest(name: "sum")) != (try hash(UDFRequest(name: "sumsig"))))
    }
}

@Suite("Plans")
struct RunPlanTests {
    struct TwoOfAName: FrameUDF {
        static let name = "two"
        init(parameters: NoParameters, meta: UDFMeta) {}
        func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("a", .float32), .sig("a", .float32)] }
        func process(_ frame: Frame, _ context: Context) throws {}
    }

    struct Idle: UDF {
        static let name = "idle"
        init(parameters: NoParameters, meta: UDFMeta) {}
        func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.sig("a", .bool, merge: .sum)] }
    }

    struct Idler: UDF {
        static let name = "idler"
        init(parameters: NoParameters, meta: UDFMeta) {}
        func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [] }
    }

    @Test func faultsAreTold() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 2)
        let registry = try UDFRegistry.builtIn.adding(TwoOfAName.self).adding(Idle.self).adding(Idler.self)
        func fault(_ requests: UDFRequest...) -> String {
            message { _ = try RunPlan(requests, registry: registry, meta: meta) }
        }
        let twice = fault(UDFRequest(name: "sum"), UDFRequest(name: "sum"))
        #expect(twice == "two UDFs with the id \"sum\": name one of them, as in other=sum")
        #expect(fault(UDFRequest(name: "sum"), UDFRequest(id: "b", name: "sum")) == "no error")
        let unknown = fault(UDFRequest(name: "summ"))
        let names = registry.entries.map(\.name).joined(separator: ", ")
        #expect(names.contains("idle, idler, ") && names.contains(", sum, "))
        #expect(unknown == "UDF summ: there is no UDF \"summ\"; known are \(names)")
        #expect(fault(UDFRequest(id: "../x", name: "sum")).contains("becomes a file name"))
        #expect(fault(UDFRequest(id: "a/b", name: "sum")).contains("becomes a file name"))
        #expect(fault(UDFRequest(id: "", name: "sum")).contains("becomes a file name"))
        #expect(fault(UDFRequest(name: "two")) == "UDF two: two buffers are named a")
        #expect(fault(UDFRequest(name: "idle")).contains("the buffer a of bool cannot be merged by sum"))
        #expect(fault(UDFRequest(name: "idler")).contains("neither a FrameUDF"))
        #expect(message { _ = try UDFRegistry.builtIn.adding(SumUDF.self) }.contains("two UDFs of this name"))
    }

    @Test func metaKnowsThePartitions() throws {
        let meta = try UDFMeta(
            navShape: [3, 4, 5], sigShape: .init(height: 2, width: 3), inputDType: .uint8, framesPerPartition: 7)
        #expect(meta.partitionCount == 9)
        #expect(meta.positions(ofPartition: 8) == 56..<60)
        #expect(meta.partition(ofPosition: 56) == 8)
        #expect(meta.coordinates(ofPosition: 33) == [1, 2, 3])
        func fault(_ nav: [Int], frames: Int = 1, roi: PositionSet? = nil) -> String {
            message {
                _ = try UDFMeta(
                    navShape: nav, sigShape: .init(height: 2, width: 3), inputDType: .uint8,
                    framesPerPartition: frames, roi: roi)
            }
        }
        #expect(fault([0, 3]).contains("not a grid"))
        #expect(fault([Int.max, 3]).contains("not a grid"))
        #expect(fault([]).contains("not a grid"))
        #expect(fault([3], frames: 0).contains("at least 1"))
        #expect(fault([3], roi: PositionSet(size: 4)).contains("the region of interest has 4"))
    }

    @Test func orderFollowsFromTheBuffers() throws {
        let registry = try UDFRegistry.builtIn.adding(FloatMean.self).adding(Variance.self).adding(Brightest.self)
        let names = ["sum", "monitor", "disk", "brightest", "float-mean", "variance"]
        let meta = try ScanFixture().meta(framesPerPartition: 2)
        let plan = try RunPlan(names.map { UDFRequest(name: $0) }, registry: registry, meta: meta)
        #expect(plan.udfs.map(\.order) == [.any, .any, .any, .any, .fixedTree, .fixedTree])
    }
}
