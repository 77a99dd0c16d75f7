// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {HallmarkRegistry} from "../../../contracts/HallmarkRegistry.sol";
import {HallmarkRouter} from "../../../contracts/HallmarkRouter.sol";
import {IHallmarkRegistry} from "../../../contracts/interfaces/IHallmarkRegistry.sol";
import {IHallmarkVerifierErrors} from "../../../contracts/interfaces/IHallmarkVerifier.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {Committed, ICommittedCreditVerifier, Lender, LenderTest, Routed, RouterOwner, Submission} from "./Readme.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice The examples of contracts/README.md are those of Readme.sol, and do what they say.
contract ReadmeTest is LibraryTest {
    int256[1] private score = [int256(5)];
    uint256[12] private proof;
    uint256[16] private longProof;
    uint256[2] private model = [uint256(3), 4];

    function setUp() public {
        vm.warp(NOW);
    }

    /// @dev But for white space: in a contract code is indented.
    function test_theExamplesAreWhatIsCompiled() public view {
        string memory source = squeezed(vm.readFile("tests/foundry/library/Readme.sol"));
        string[] memory parts = vm.split(vm.readFile("contracts/README.md"), "```");
        uint256 examples;
        // what is between two marks is code
        for (uint256 i = 1; i < parts.length; i += 2) {
            string memory example = squeezed(parts[i]);
            check(vm.indexOf(example, "solidity") == 0, "a block of another language");
            string memory code = vm.split(example, "solidity")[1];
            check(bytes(code).length > 100 && vm.indexOf(source, code) != type(uint256).max, parts[i]);
            examples++;
        }
        same(6, examples, "examples");
    }

    function squeezed(string memory text) private pure returns (string memory short) {
        bytes memory from = bytes(text);
        bytes memory to = new bytes(from.length);
        uint256 length;
        for (uint256 i = 0; i < from.length; i++) {
            if (from[i] != " " && from[i] != "\n") to[length++] = from[i];
        }
        assembly ("memory-safe") {
            mstore(to, length)
        }
        return string(to);
    }

    function test_theExampleTestPasses() public {
        new LenderTest().test_anApprovedApplicantIsGranted();
    }

    function test_theLenderRefusesWhomTheModelRefuses() public {
        MockHallmarkVerifier verifier = mock("model");
        verifier.acceptAll(true);
        Lender lender = new Lender(CreditVerifier(address(verifier)));
        (, HallmarkConsumer.Binding memory binding) =
            lender.sequentialContext(address(this), lender.applyAction(100), NOW);
        score[0] = 0;
        vm.expectRevert(abi.encodeWithSignature("Error(string)", "not approved"));
        lender.apply_(100, binding, score, proof);
    }

    function test_theRouterIsAskedForTheModel() public {
        RouterOwner owner = new RouterOwner();
        bytes memory arguments = abi.encode(owner, GUARDIAN, 1 days);
        HallmarkRouter router = HallmarkRouter(Deploy.made("HallmarkRouter", "HallmarkRouter", arguments));
        MockHallmarkVerifier verifier = mock("model");
        owner.announce(router, CreditVerifier(address(verifier)));
        vm.warp(NOW + 1 days);
        owner.add(router, CreditVerifier(address(verifier)));

        Routed routed = new Routed(router, "model");
        (bytes32 context, HallmarkConsumer.Binding memory binding) =
            routed.unorderedContext(address(this), "record", 7, NOW + 1 days);
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        routed.record(binding, score, proof);
        verifier.acceptContext(context, true);
        routed.record(binding, score, proof);
        check(routed.scores(address(this)) == 5, "score");
    }

    function test_theRegistryIsAskedForTheWeights() public {
        bytes memory arguments = abi.encode(OWNER, GUARDIAN, 1 days);
        HallmarkRegistry registry = HallmarkRegistry(Deploy.made("HallmarkRegistry", "HallmarkRegistry", arguments));
        MockHallmarkVerifier verifier = mock("architecture", HallmarkCall.Shape(2, 1, 0, 16));
        verifier.acceptAll(true);
        Committed committed = new Committed(ICommittedCreditVerifier(address(verifier)), registry);
        (, HallmarkConsumer.Binding memory binding) =
            committed.unorderedContext(address(this), "record", 7, NOW + 1 days);
        bytes32 id = verifier.modelId(model);
        vm.expectRevert(
            abi.encodeWithSelector(
                IHallmarkRegistry.ModelNotApproved.selector,
                bytes32("architecture"),
                id,
                IHallmarkRegistry.Status.Unknown
            )
        );
        committed.record(binding, model, score, longProof);
        executed(registry, abi.encodeCall(registry.approve, ("architecture", id, 0, uint64(NOW + 30 days))));
        committed.record(binding, model, score, longProof);
        check(committed.scores(address(this)) == 5, "score");
    }

    function test_aScriptReadsAProof() public {
        (address verifier,) = Deploy.fresh("CreditVerifier");
        Submission submission = new Submission();
        string memory fixtures = "tests/foundry/fixtures/";
        int256 given = submission.run(CreditVerifier(verifier), string.concat(fixtures, "applicant0.json"));
        (, int256[1] memory read,) = submission.load(string.concat(fixtures, "applicant0.json"));
        check(given == read[0] && given != 0, "score");
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        submission.run(CreditVerifier(verifier), string.concat(fixtures, "other_model.json"));
        vm.expectRevert(abi.encodeWithSignature("Error(string)", "a proof for another verifier"));
        submission.load(string.concat(fixtures, "CreditHashedVerifier/applicant0.json"));
    }
}
